"""Offers of a server to another organization."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models import Term
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Money
from core.tenancy.declarations import OWN_ORGANIZATIONS, custom
from servers.models import Server


class TransferStatus(StatusChoices):
    OPEN = "open", Tone.INFO, _("Offered")
    ACCEPTED = "accepted", Tone.SUCCESS, _("Accepted")
    DECLINED = "declined", Tone.NEUTRAL, _("Declined")
    CANCELED = "canceled", Tone.NEUTRAL, _("Canceled")


_S = TransferStatus


class ServerTransfer(StateMachine, Entity, Timestamped):
    """A server that its organization offers to a user, who takes it for one of theirs. After `expires_at` nobody can.

    Taken, it names the server: so who has that now is found from what whoever had it before paid for it.
    The recipient sees nothing of the other organization's rows, so what is offered is written down here: the server's
    name, what it is, and what a period of it costs.
    """

    tenancy = custom(f"organization_id = {OWN_ORGANIZATIONS} OR recipient_id = (SELECT app_user())")
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        _S.OPEN: {_S.ACCEPTED, _S.DECLINED, _S.CANCELED},
        _S.ACCEPTED: set(),
        _S.DECLINED: set(),
        _S.CANCELED: set(),
    }

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    item = models.ForeignKey(
        "orders.OrderItem", on_delete=models.PROTECT, related_name="transfers", verbose_name=_("order item")
    )
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    recipient_email = models.EmailField(_("recipient's address"))
    offered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("offered by")
    )
    offerer_name = models.CharField(_("from"), max_length=191)
    server_name = models.CharField(_("server"), max_length=64)
    description = models.CharField(_("what it is"), max_length=255)
    recurring_minor = models.BigIntegerField(_("price per period"))
    currency = models.CharField(max_length=3)
    term = models.CharField(_("billing cycle"), max_length=12, choices=Term)
    paid_until = models.DateTimeField(_("paid until"))
    status = StatusField(max_length=8, choices=TransferStatus, default=TransferStatus.OPEN)
    offered_at = models.DateTimeField(_("offered at"))
    expires_at = models.DateTimeField(_("expires at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    new_organization = models.ForeignKey(
        Organization, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("taken by")
    )
    server = models.ForeignKey(Server, null=True, blank=True, on_delete=models.PROTECT, related_name="transfers")

    class Meta:
        verbose_name = _("transfer of a server")
        verbose_name_plural = _("transfers of servers")
        ordering = ["-offered_at"]
        constraints = [
            choices_check("orders_transfer_status_known", "status", TransferStatus),
            choices_check("orders_transfer_term_known", "term", Term),
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(status="open"), name="orders_transfer_one_open"
            ),
            models.CheckConstraint(
                name="orders_transfer_taken_by_when_accepted",
                condition=models.Q(status="accepted", new_organization__isnull=False, ended_at__isnull=False)
                | models.Q(status="open", new_organization__isnull=True, ended_at__isnull=True)
                | models.Q(status__in=["declined", "canceled"], new_organization__isnull=True, ended_at__isnull=False),
            ),
            iff("orders_transfer_server_iff_accepted", models.Q(status="accepted"), models.Q(server__isnull=False)),
        ]

    @property
    def recurring(self) -> Money:
        """What each later period costs."""
        return Money(self.recurring_minor, self.currency)

    def __str__(self) -> str:
        return self.server_name
