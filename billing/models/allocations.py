"""Which money paid which invoice, and what of it was taken back."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.invoices import Invoice
from billing.models.keys import unchecked_key
from billing.models.payments import Payment
from billing.models.refunds import Dispute, Refund
from core import tenancy
from core.models import Entity, Timestamped
from core.money import Money


class PaymentAllocation(Entity):
    """A part of an invoice and the payment that paid it; without a payment, credit of the wallet paid it.

    The allocations of a paid invoice are its total, and those of a payment at most what it received: the database
    checks both.
    """

    tenancy = tenancy.OWNED
    append_only = True

    organization = unchecked_key(Organization)
    payment = unchecked_key(
        Payment,
        null=True,
        blank=True,
        related_name="allocations",
        help_text=_("Empty: paid from the wallet's credit."),
    )
    invoice = unchecked_key(Invoice, related_name="allocations", db_index=False)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("payment allocation")
        verbose_name_plural = _("payment allocations")
        constraints = [
            models.CheckConstraint(name="billing_allocation_positive", condition=models.Q(amount_minor__gt=0)),
            models.UniqueConstraint(
                fields=["invoice", "payment"], nulls_distinct=False, name="billing_allocation_once"
            ),
        ]

    @property
    def amount(self) -> Money:
        """What it pays of the invoice."""
        return Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return str(self.amount)


class AllocationReversal(Entity, Timestamped):
    """What a refund, a lost dispute or a credit to the wallet takes back of an allocation.

    It is undone when the refund fails or the dispute is won after all.
    """

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    allocation = models.ForeignKey(PaymentAllocation, on_delete=models.PROTECT, related_name="reversals")
    refund = models.ForeignKey(
        Refund, null=True, blank=True, on_delete=models.PROTECT, related_name="allocation_reversals"
    )
    dispute = models.ForeignKey(
        Dispute, null=True, blank=True, on_delete=models.PROTECT, related_name="allocation_reversals"
    )
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    at = models.DateTimeField()
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)

    class Meta:
        verbose_name = _("allocation reversal")
        verbose_name_plural = _("allocation reversals")
        constraints = [
            models.CheckConstraint(name="billing_reversal_positive", condition=models.Q(amount_minor__gt=0)),
            models.CheckConstraint(
                name="billing_reversal_one_cause",
                condition=models.Q(refund__isnull=True) | models.Q(dispute__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency}"
