"""What customers do with what is inside their servers, and what the provider last said of it."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.encryption import EncryptedJSONField
from core.models import Lane, WorkItem
from servers.models.live import LIVE
from servers.models.provider_task import ProviderTask, ProviderWork
from servers.models.servers import Server

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Listing(ProviderTask):
    """A list or a file of a server as its provider last told it, read again while a page shows it.

    `result` is kept while it is read again. It is encrypted: files and lists may hold passwords.
    """

    LANE: ClassVar[Lane] = LIVE

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="listings", db_index=False)
    kind = models.CharField(max_length=24)
    target = models.CharField(max_length=1024, blank=True, default="")
    result: Any = EncryptedJSONField(null=True, blank=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    problem = models.TextField(_("problem"), blank=True, default="")

    class Meta(ProviderTask.Meta):
        abstract = False
        verbose_name = _("listing")
        verbose_name_plural = _("listings")
        constraints: ClassVar[list[Any]] = [
            *ProviderTask.Meta.constraints,
            models.UniqueConstraint(fields=["server", "kind", "target"], name="servers_listing_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}".strip()


class OperationOutcome(models.TextChoices):
    """How an operation ended; the label says it to the customer where there is no better message."""

    DONE = "done", _("Done")
    REFUSED = "refused", _("The server's node refused it. Please contact support.")
    NO_ACCESS = "no_access", _("Whoever asked for it may not do that any more, so nothing was changed.")
    NOT_POSSIBLE = "not_possible", _("It is not possible in the server's present state.")
    NOT_SENT = "not_sent", _("It could not be sent in time, so nothing was changed. Try again in a few minutes.")
    NO_ANSWER = "no_answer", _("The node did not answer in time. Look whether it was done before you try again.")


class Operation(ProviderWork):
    """One act that a customer asked for, such as making a backup, carried out once by a worker.

    `outcome` says "no answer" from the moment before it is sent until more is known.
    """

    LANE: ClassVar[Lane] = LIVE

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="operations", db_index=False)
    kind = models.CharField(max_length=24)
    target = models.CharField(max_length=1024, blank=True, default="")
    arguments: Any = models.JSONField(default=dict, blank=True)
    content: Any = EncryptedJSONField(null=True, blank=True, help_text=_("What is sent, until it was."))
    result: Any = EncryptedJSONField(null=True, blank=True, help_text=_("What the provider answered."))
    requested_at = models.DateTimeField(_("requested at"))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("requested by"),
    )
    outcome = models.CharField(max_length=14, choices=OperationOutcome, blank=True, default="")
    message = models.TextField(_("message"), blank=True, default="")
    label: "StrOrPromise"  # of its kind, where a page shows it

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        constraints: ClassVar[list[Any]] = [
            *WorkItem.Meta.constraints,
            models.CheckConstraint(
                name="servers_operation_outcome_known",
                condition=models.Q(outcome__in=["", *OperationOutcome.values]),
            ),
        ]
        indexes: ClassVar[list[Any]] = [
            *ProviderWork.Meta.indexes,
            models.Index(fields=["server", "requested_at"], name="servers_operation_of_server"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}".strip()
