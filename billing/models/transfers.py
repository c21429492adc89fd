"""Bank transfers: what a customer is asked to transfer, and the lines of our bank statements."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.gateways import GatewayAccount
from billing.models.payments import Payment
from core import tenancy
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Money


class BankTransfer(Entity, Timestamped):
    """A payment that the customer makes at their bank, by a reference of its own. The details stay as told."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, db_index=False)
    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="bank_transfer")
    reference = models.CharField(max_length=16, unique=True)
    details: Any = models.JSONField(_("bank details"), default=dict)
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("bank transfer")
        verbose_name_plural = _("bank transfers")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.reference


class LineState(StatusChoices):
    REVIEW = "review", Tone.WARNING, _("Under review")
    BOOKED = "booked", Tone.SUCCESS, _("Booked")
    IGNORED = "ignored", Tone.NEUTRAL, _("Ignored")


class StatementLine(Entity, Timestamped):
    """Money that arrived on the bank account: from a statement, or as staff saw it. It pays one transfer at most."""

    tenancy = tenancy.PRIVATE

    account = models.ForeignKey(
        GatewayAccount, on_delete=models.PROTECT, db_index=False, verbose_name=_("gateway account")
    )
    fingerprint = models.CharField(max_length=64, help_text=_("The same line of the same statement has the same one."))
    statement = models.CharField(
        max_length=64, blank=True, default="", help_text=_("The same for all lines that were new in one statement.")
    )
    booked_on = models.DateField()
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    payer = models.CharField(max_length=140, blank=True, default="")
    text = models.CharField(max_length=500, blank=True, default="")
    state = StatusField(max_length=8, choices=LineState, default=LineState.REVIEW)
    note = models.CharField(max_length=255, blank=True, default="")
    transfer = models.ForeignKey(
        BankTransfer, null=True, blank=True, on_delete=models.PROTECT, related_name="lines", verbose_name=_("pays")
    )

    class Meta:
        verbose_name = _("statement line")
        verbose_name_plural = _("statement lines")
        ordering = ["-booked_on", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["account", "fingerprint"], name="billing_statement_line_once"),
            models.CheckConstraint(name="billing_statement_line_positive", condition=models.Q(amount_minor__gt=0)),
            iff(
                "billing_statement_line_transfer_iff_booked",
                models.Q(transfer__isnull=False),
                models.Q(state=LineState.BOOKED),
            ),
            choices_check("billing_statement_line_state_known", "state", LineState),
        ]

    @property
    def amount(self) -> Money:
        """What arrived."""
        return Money(self.amount_minor, self.currency)

    @property
    def transaction_id(self) -> str:
        """What the payment calls this money."""
        return f"statement-line:{self.pk}"

    def __str__(self) -> str:
        return f"{self.booked_on} {self.amount}"
