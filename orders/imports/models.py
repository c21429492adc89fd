"""Imports: a provider's servers that become servers of this shop, checked row by row before anything is done."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Plan, PlanPrice, Term
from core import tenancy
from core.models import (
    CoalescedWorkItem,
    Entity,
    StateMachine,
    StatusChoices,
    StatusField,
    Timestamped,
    Tone,
    choices_check,
)
from servers.models import Provider, Server


class ImportState(StatusChoices):
    CHECKING = "checking", Tone.INFO, _("Being checked")
    CHECKED = "checked", Tone.WARNING, _("Checked, nothing done")
    IMPORTING = "importing", Tone.INFO, _("Importing")
    FINISHED = "finished", Tone.SUCCESS, _("Finished")


class ServerImport(StateMachine, Entity, Timestamped):
    """Take over the servers of a provider that are not ours. `mapping` has what staff say of single servers.

    What it says nothing of is decided by the account's address, the plan that fits best, and the values here.
    """

    tenancy = tenancy.PRIVATE
    STATUS_FIELD: ClassVar[str] = "state"
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        ImportState.CHECKING: {ImportState.CHECKED},
        ImportState.CHECKED: {ImportState.IMPORTING},
        ImportState.IMPORTING: {ImportState.FINISHED},
        ImportState.FINISHED: set(),
    }

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    state = StatusField(max_length=9, choices=ImportState, default=ImportState.CHECKING)
    mapping: Any = models.JSONField(_("mapping"), default=list, blank=True)
    term = models.CharField(_("billing cycle"), max_length=12, choices=Term, default=Term.MONTHLY)
    billed_from = models.DateField(_("billed from"))
    matches_by_email = models.BooleanField(
        _("customers by address"),
        default=False,
        help_text=_("An account there is of the customer here with its address, which nobody has checked."),
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("import of servers")
        verbose_name_plural = _("imports of servers")
        ordering = ["-created_at"]
        constraints = [
            choices_check("orders_import_state_known", "state", ImportState),
            models.CheckConstraint(
                name="orders_import_term_in_months",
                condition=models.Q(term__in=[term for term in Term if term.months]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.created_at:%Y-%m-%d %H:%M}"


class ImportTask(Entity, CoalescedWorkItem):
    """Check an import, or go on with it."""

    tenancy = tenancy.PRIVATE
    SUBJECT: ClassVar[str] = "server_import"

    server_import = models.OneToOneField(ServerImport, on_delete=models.PROTECT, related_name="task")

    class Meta(CoalescedWorkItem.Meta):
        abstract = False
        verbose_name = _("import task")
        verbose_name_plural = _("import tasks")

    def __str__(self) -> str:
        return str(self.server_import)


class ImportOutcome(StatusChoices):
    PLANNED = "planned", Tone.INFO, _("To be imported")
    REFUSED = "refused", Tone.WARNING, _("Not imported")
    IMPORTED = "imported", Tone.SUCCESS, _("Imported")


class ImportRow(Entity, Timestamped):
    """One server of an import: what it becomes, or why it is left out."""

    tenancy = tenancy.PRIVATE

    server_import = models.ForeignKey(ServerImport, on_delete=models.PROTECT, related_name="rows", db_index=False)
    position = models.PositiveIntegerField()
    ref = models.CharField(_("panel ID"), max_length=64)
    name = models.CharField(_("name"), max_length=191, blank=True, default="")
    email = models.CharField(_("email"), max_length=191, blank=True, default="")
    plan = models.ForeignKey(Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    price = models.ForeignKey(
        PlanPrice,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("At which it will renew: only at this one is it imported."),
    )
    term = models.CharField(_("billing cycle"), max_length=12, choices=Term)
    billed_from = models.DateField(_("billed from"))
    outcome = StatusField(max_length=8, choices=ImportOutcome)
    note = models.CharField(_("what happens"), max_length=255, blank=True, default="")
    server = models.OneToOneField(Server, null=True, blank=True, on_delete=models.PROTECT, related_name="import_row")

    class Meta:
        verbose_name = _("server of an import")
        verbose_name_plural = _("servers of imports")
        ordering = ["server_import", "position"]
        constraints = [
            choices_check("orders_import_row_outcome_known", "outcome", ImportOutcome),
            choices_check("orders_import_row_term_known", "term", Term),
            models.UniqueConstraint(fields=["server_import", "position"], name="orders_import_row_once"),
            models.CheckConstraint(
                name="orders_import_row_has_its_server",
                condition=models.Q(outcome=ImportOutcome.IMPORTED, server__isnull=False)
                | ~models.Q(outcome=ImportOutcome.IMPORTED) & models.Q(server__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name or self.ref}: {self.note}"
