"""Credit notes: what takes an issued invoice back, because the invoice itself never changes."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.allocations import AllocationReversal
from billing.models.invoices import Invoice
from billing.models.series import NumberedDocument
from core import tenancy
from core.models import Entity, Timestamped
from core.money import Money


class CreditNote(Entity, NumberedDocument, Timestamped):
    """An amount of an invoice that went back, numbered in a series of its own and frozen from the start.

    Where what it was issued for is undone, it is void: it keeps its number and credits nothing.
    """

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="credit_notes")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    reversal = models.OneToOneField(
        AllocationReversal,
        on_delete=models.PROTECT,
        related_name="credit_note",
        verbose_name=_("allocation reversal"),
        help_text=_("The money that went back."),
    )
    reason = models.CharField(max_length=191)
    currency = models.CharField(max_length=3)
    net_minor = models.BigIntegerField(_("net"))
    tax_minor = models.BigIntegerField(_("tax"), default=0)
    total_minor = models.BigIntegerField(_("total"))
    voided_at = models.DateTimeField(
        _("void since"), null=True, blank=True, help_text=_("The money did not go back, so nothing is credited.")
    )

    class Meta(NumberedDocument.Meta):
        abstract = False
        verbose_name = _("credit note")
        verbose_name_plural = _("credit notes")
        ordering = ["issued_at"]
        constraints = [
            *NumberedDocument.Meta.constraints,
            models.CheckConstraint(name="billing_creditnote_issued", condition=models.Q(issued_at__isnull=False)),
            models.CheckConstraint(
                name="billing_creditnote_positive",
                condition=models.Q(net_minor__gte=0, tax_minor__gte=0, total_minor__gt=0),
            ),
            models.CheckConstraint(
                name="billing_creditnote_total_is_net_and_tax",
                condition=models.Q(total_minor=models.F("net_minor") + models.F("tax_minor")),
            ),
        ]

    @property
    def total(self) -> Money:
        """What is credited: net and tax."""
        return Money(self.total_minor, self.currency)

    def __str__(self) -> str:
        return self.number or f"credit note {self.pk}"
