"""Invoices: numbered without gaps when issued, and then unchangeable but for their state."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, choices_check
from core.money import Money, Rate


class InvoiceSeries(models.Model):
    """A seller's run of invoice numbers. The database gives them at commit: no gaps, and in order of time."""

    tenancy = tenancy.PRIVATE

    code = models.CharField(max_length=16, primary_key=True)
    seller = models.CharField(_("seller"), max_length=100, blank=True, default="")
    prefix = models.CharField(_("prefix"), max_length=16, blank=True, default="")
    width = models.PositiveSmallIntegerField(_("width"), default=5, help_text=_("Digits, with leading zeros."))
    restarts_yearly = models.BooleanField(
        _("restarts yearly"), default=True, help_text=_("The number then contains the year, such as NB-2026-00001.")
    )
    year = models.PositiveSmallIntegerField(_("year"), default=0, help_text=_("Of the next number; 0 if none."))
    next_number = models.PositiveBigIntegerField(_("next number"), default=1)
    last_issued_at = models.DateTimeField(_("last issued at"), null=True, blank=True)

    class Meta:
        verbose_name = _("invoice series")
        verbose_name_plural = _("invoice series")

    def __str__(self) -> str:
        return self.code


class InvoiceState(StatusChoices):
    DRAFT = "draft", Tone.INFO, _("Draft")
    OPEN = "open", Tone.WARNING, _("Open")
    PAID = "paid", Tone.SUCCESS, _("Paid")
    OVERDUE = "overdue", Tone.DANGER, _("Overdue")
    VOID = "void", Tone.NEUTRAL, _("Void")
    REFUNDED = "refunded", Tone.NEUTRAL, _("Refunded")
    EXPIRED = "expired", Tone.NEUTRAL, _("Expired")


class Invoice(Entity, Timestamped):
    """What an organization owes for named things.

    A draft has no number. An issued invoice gets it when the transaction commits: `number` (as printed), `sequence`
    (the integer, unique in its series and year), and `issued_at`, which is never before that of a lower number.
    """

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="invoices")
    series = models.ForeignKey(InvoiceSeries, on_delete=models.PROTECT)
    number = models.CharField(max_length=64, null=True, blank=True, unique=True)
    sequence_year = models.PositiveSmallIntegerField(null=True, blank=True)
    sequence = models.PositiveBigIntegerField(null=True, blank=True)
    state = StatusField(max_length=10, choices=InvoiceState, default=InvoiceState.DRAFT)
    currency = models.CharField(max_length=3)
    net_minor = models.BigIntegerField(_("net"), help_text=_("The sum of the items, without tax."))
    tax_minor = models.BigIntegerField(_("tax"), default=0)
    total_minor = models.BigIntegerField(_("total"))
    billing_address: Any = models.JSONField(default=dict, blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="billing_invoice_of_org"),
            models.Index(
                fields=["series"],
                condition=models.Q(number__isnull=True, issued_at__isnull=False),
                name="billing_invoice_to_number",
            ),
        ]
        constraints = [
            choices_check("billing_invoice_state_known", "state", InvoiceState),
            models.CheckConstraint(
                name="billing_invoice_not_negative", condition=models.Q(net_minor__gte=0, tax_minor__gte=0)
            ),
            models.CheckConstraint(
                name="billing_invoice_total_is_net_and_tax",
                condition=models.Q(total_minor=models.F("net_minor") + models.F("tax_minor")),
            ),
            models.UniqueConstraint(
                fields=["series", "sequence_year", "sequence"], name="billing_invoice_sequence_once"
            ),
            models.CheckConstraint(
                name="billing_invoice_number_has_sequence",
                condition=models.Q(number__isnull=True, sequence__isnull=True, sequence_year__isnull=True)
                | models.Q(number__isnull=False, sequence__gt=0, sequence_year__isnull=False, issued_at__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_invoice_paid_is_issued",
                condition=~models.Q(state__in=["open", "paid", "overdue", "refunded"])
                | models.Q(issued_at__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_invoice_paid_at_when_paid",
                condition=~models.Q(state__in=["paid", "refunded"]) | models.Q(paid_at__isnull=False),
            ),
        ]

    @property
    def net(self) -> Money:
        """The sum of the items, without tax."""
        return Money(self.net_minor, self.currency)

    @property
    def tax(self) -> Money:
        """The sum of the tax lines."""
        return Money(self.tax_minor, self.currency)

    @property
    def total(self) -> Money:
        """What is to be paid: net and tax."""
        return Money(self.total_minor, self.currency)

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"


class ItemKind(models.TextChoices):
    PLAN = "plan", _("Plan")
    ADDON = "addon", _("Add-on")
    SETUP = "setup", _("Setup fee")
    DISCOUNT = "discount", _("Discount")
    USAGE = "usage", _("Usage")
    PRORATION = "proration", _("Proration")
    CREDIT = "credit", _("Credit")
    TOP_UP = "top_up", _("Top-up")


# Kinds that bill a period of a subscription's item: two such periods of one item never overlap.
PERIOD_KINDS = (ItemKind.PLAN, ItemKind.ADDON)


class InvoiceItem(Entity):
    """A line of an invoice: quantity times unit price, rounded once to a whole minor unit (`core.money.Rate`).

    A time is billed once per item of a subscription: the database refuses a second line whose period overlaps. Lines of
    a void or expired invoice do not count.
    """

    tenancy = tenancy.OWNED

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="items")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    kind = models.CharField(max_length=16, choices=ItemKind)
    description = models.CharField(max_length=255)
    quantity = models.DecimalField(max_digits=20, decimal_places=10, default=1)
    unit_minor = models.DecimalField(
        _("unit price"), max_digits=28, decimal_places=10, help_text=_("May be finer than a minor unit.")
    )
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    subscription = models.ForeignKey(
        "billing.Subscription", null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_items"
    )
    subscription_item = models.ForeignKey(
        "billing.SubscriptionItem", null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_items"
    )
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    is_void = models.BooleanField(
        default=False, editable=False, help_text=_("Whether the invoice is void or expired; the database keeps it.")
    )
    position = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("invoice item")
        verbose_name_plural = _("invoice items")
        ordering = ["position"]
        constraints = [
            # billing_item_amount_is_rounded_once and billing_item_period_billed_once are in migration 0002.
            models.CheckConstraint(name="billing_item_quantity_positive", condition=models.Q(quantity__gt=0)),
            models.CheckConstraint(
                name="billing_item_negative_by_kind",
                condition=models.Q(unit_minor__gte=0) | models.Q(kind__in=[ItemKind.DISCOUNT, ItemKind.CREDIT]),
            ),
            models.CheckConstraint(
                name="billing_item_period_forward",
                condition=models.Q(period_start__isnull=True, period_end__isnull=True)
                | models.Q(period_start__isnull=False, period_end__gt=models.F("period_start")),
            ),
            models.CheckConstraint(
                name="billing_item_period_names_its_item",
                condition=models.Q(period_start__isnull=True)
                | ~models.Q(kind__in=PERIOD_KINDS)
                | models.Q(subscription_item__isnull=False),
            ),
            choices_check("billing_item_kind_known", "kind", ItemKind),
        ]

    @property
    def unit(self) -> Rate:
        """The price of one."""
        return Rate(self.unit_minor, self.currency)

    @property
    def amount(self) -> Money:
        """Quantity times unit price, rounded."""
        return Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return self.description


class InvoiceTax(Entity):
    """The tax of an invoice at one rate in one jurisdiction."""

    tenancy = tenancy.OWNED

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="taxes")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    name = models.CharField(max_length=64, help_text=_("As printed, such as VAT."))
    jurisdiction = models.CharField(max_length=16, help_text=_("Country, or country and region, such as DE or US-CA."))
    rate = models.DecimalField(max_digits=20, decimal_places=10, help_text=_("Percent."))
    net_minor = models.BigIntegerField(_("taxed amount"))
    tax_minor = models.BigIntegerField(_("tax"))
    currency = models.CharField(max_length=3)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("tax of an invoice")
        verbose_name_plural = _("taxes of invoices")
        ordering = ["position"]
        constraints = [
            models.CheckConstraint(
                name="billing_tax_not_negative", condition=models.Q(rate__gte=0, net_minor__gte=0, tax_minor__gte=0)
            ),
        ]

    @property
    def net(self) -> Money:
        """What the tax is computed from."""
        return Money(self.net_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.name} {self.jurisdiction}"
