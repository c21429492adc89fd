"""Invoices: numbered without gaps when issued, and then unchangeable but for their state."""

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.keys import unchecked_key
from billing.models.series import NumberedDocument
from billing.models.taxes import TaxCategory
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Money, Rate


class InvoiceState(StatusChoices):
    DRAFT = "draft", Tone.INFO, _("Draft")
    OPEN = "open", Tone.WARNING, _("Open")
    PAID = "paid", Tone.SUCCESS, _("Paid")
    OVERDUE = "overdue", Tone.DANGER, _("Overdue")
    VOID = "void", Tone.NEUTRAL, _("Void")
    REFUNDED = "refunded", Tone.NEUTRAL, _("Refunded")
    EXPIRED = "expired", Tone.NEUTRAL, _("Expired")


class Invoice(StateMachine, Entity, NumberedDocument, Timestamped):
    """What an organization owes for named things. A draft has neither number nor parties; an issued one is frozen."""

    tenancy = tenancy.OWNED
    STATUS_FIELD = "state"
    # The database refuses every other change too (migration 0002).
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        InvoiceState.DRAFT: {InvoiceState.OPEN, InvoiceState.EXPIRED},
        InvoiceState.OPEN: {InvoiceState.PAID, InvoiceState.OVERDUE, InvoiceState.VOID},
        InvoiceState.OVERDUE: {InvoiceState.PAID, InvoiceState.VOID},
        InvoiceState.PAID: {InvoiceState.REFUNDED},
        InvoiceState.REFUNDED: {InvoiceState.PAID},  # a refund that failed late
        InvoiceState.EXPIRED: {InvoiceState.OPEN},  # the draft was dropped, and its payment arrived later
        InvoiceState.VOID: set(),
    }

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="invoices", db_index=False)
    state = StatusField(max_length=10, choices=InvoiceState, default=InvoiceState.DRAFT)
    currency = models.CharField(max_length=3)
    net_minor = models.BigIntegerField(_("net"), help_text=_("The sum of the items, without tax."))
    tax_minor = models.BigIntegerField(_("tax"), default=0)
    total_minor = models.BigIntegerField(_("total"))
    is_tax_inclusive = models.BooleanField(
        _("prices include tax"), default=False, help_text=_("The amounts of the items include the tax.")
    )
    place_evidence: Any = models.JSONField(
        _("proof of place"), default=dict, blank=True, help_text=_("What the customer's tax was decided by.")
    )
    usage_month = models.DateField(
        _("month of usage"),
        null=True,
        blank=True,
        help_text=_(
            "The first day of the month whose hours it bills. They are added to its draft as they are charged."
        ),
    )
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta(NumberedDocument.Meta):
        abstract = False
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="billing_invoice_of_org"),
            models.Index(  # a batch of a run reads those of its organizations
                fields=["organization", "due_at"],
                name="billing_invoice_due",
                condition=models.Q(state__in=["open", "overdue"]),
            ),
            models.Index(
                fields=["usage_month"],
                name="billing_invoice_of_usage",
                condition=models.Q(usage_month__isnull=False, state="draft"),
            ),
            *NumberedDocument.Meta.indexes,
        ]
        constraints = [
            *NumberedDocument.Meta.constraints,
            models.UniqueConstraint(
                fields=["organization", "currency", "usage_month"],
                name="billing_invoice_one_for_usage",
                condition=models.Q(usage_month__isnull=False),
            ),
            choices_check("billing_invoice_state_known", "state", InvoiceState),
            models.CheckConstraint(
                name="billing_invoice_not_negative", condition=models.Q(net_minor__gte=0, tax_minor__gte=0)
            ),
            models.CheckConstraint(
                name="billing_invoice_total_is_net_and_tax",
                condition=models.Q(total_minor=models.F("net_minor") + models.F("tax_minor")),
            ),
            iff(
                "billing_invoice_issued_iff_not_draft",
                models.Q(issued_at__isnull=True),
                models.Q(state__in=["draft", "expired"]),
            ),
            models.CheckConstraint(
                name="billing_invoice_paid_at_when_paid",
                condition=~models.Q(state__in=["paid", "refunded"]) | models.Q(paid_at__isnull=False),
            ),
            iff("billing_invoice_voided_at_iff_void", models.Q(state="void"), models.Q(voided_at__isnull=False)),
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
        return self.number or f"draft {self.pk.hex[-8:]}"  # the end of an id is the part that differs


class ItemKind(models.TextChoices):
    PLAN = "plan", _("Plan")
    ADDON = "addon", _("Add-on")
    SETUP = "setup", _("Setup fee")
    DISCOUNT = "discount", _("Discount")
    USAGE = "usage", _("Usage")
    PRORATION = "proration", _("Proration")
    CREDIT = "credit", _("Credit")
    TOP_UP = "top_up", _("Top-up")


# Kinds that bill a period of a subscription's item: two such periods of one item never overlap. Nor do two of usage,
# which is billed for a time that the item's price was billed for in advance.
PERIOD_KINDS = (ItemKind.PLAN, ItemKind.ADDON)


class InvoiceItem(Entity, Timestamped):
    """A line of an invoice: quantity times unit price, rounded once to a whole minor unit (`core.money.Rate`).

    A time is billed once per item of a subscription: the database refuses a second line whose period overlaps. Lines of
    a void or expired invoice do not count.
    """

    tenancy = tenancy.OWNED

    invoice = unchecked_key(Invoice, related_name="items")
    organization = unchecked_key(Organization)
    kind = models.CharField(max_length=16, choices=ItemKind)
    description = models.CharField(max_length=255)
    quantity = models.DecimalField(max_digits=20, decimal_places=10, default=1)
    unit_minor = models.DecimalField(
        _("unit price"), max_digits=28, decimal_places=10, help_text=_("May be finer than a minor unit.")
    )
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    subscription = unchecked_key("billing.Subscription", null=True, blank=True, related_name="invoice_items")
    subscription_item = unchecked_key("billing.SubscriptionItem", null=True, blank=True, related_name="invoice_items")
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    is_void = models.BooleanField(
        default=False, editable=False, help_text=_("Whether the invoice is void or expired; the database keeps it.")
    )
    position = models.PositiveIntegerField(default=0)
    tax_position = models.PositiveSmallIntegerField(
        _("position of its tax"), db_default=0, help_text=_("Which tax of the invoice it has, where there are several.")
    )

    class Meta:
        verbose_name = _("invoice item")
        verbose_name_plural = _("invoice items")
        ordering = ["position"]
        constraints = [
            # billing_item_amount_is_rounded_once and _period_billed_once are in migration 0002.
            models.CheckConstraint(name="billing_item_quantity_positive", condition=models.Q(quantity__gt=0)),
            models.CheckConstraint(
                name="billing_item_negative_by_kind",
                condition=models.Q(unit_minor__gte=0) | models.Q(kind__in=[ItemKind.DISCOUNT, ItemKind.CREDIT]),
            ),
            models.CheckConstraint(
                name="billing_item_period_forward",
                condition=models.Q(period_start__isnull=True, period_end__isnull=True)
                | models.Q(
                    period_start__isnull=False,
                    period_end__isnull=False,  # a CHECK lets a comparison with null pass
                    period_end__gt=models.F("period_start"),
                ),
            ),
            models.CheckConstraint(
                name="billing_item_period_names_its_item",
                condition=models.Q(period_start__isnull=True)
                | ~models.Q(kind__in=[*PERIOD_KINDS, ItemKind.PRORATION, ItemKind.USAGE])
                | models.Q(subscription_item__isnull=False),
            ),
            # Otherwise the key of both columns would not be checked, and the item could be anybody's.
            models.CheckConstraint(
                name="billing_item_names_subscription_of_its_item",
                condition=models.Q(subscription_item__isnull=True) | models.Q(subscription__isnull=False),
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


class InvoiceTax(Entity, Timestamped):
    """The tax of an invoice at one rate in one jurisdiction."""

    tenancy = tenancy.OWNED

    invoice = unchecked_key(Invoice, related_name="taxes")
    organization = unchecked_key(Organization)
    name = models.CharField(max_length=64, help_text=_("As printed, such as VAT."))
    category = models.CharField(max_length=2, choices=TaxCategory, default=TaxCategory.STANDARD)
    jurisdiction = models.CharField(max_length=103, help_text=_("Country, or country and region, such as DE or US-CA."))
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
                # Unused time that a change gives back is below zero, at the rate that it was paid with.
                name="billing_tax_rate_and_signs",
                condition=models.Q(rate__gte=0)
                & (models.Q(net_minor__gte=0, tax_minor__gte=0) | models.Q(net_minor__lte=0, tax_minor__lte=0)),
            ),
            choices_check("billing_tax_category_known", "category", TaxCategory),
            models.CheckConstraint(
                name="billing_tax_charged_iff_taxed",
                condition=models.Q(category=TaxCategory.STANDARD) | models.Q(rate=0, tax_minor=0),
            ),
        ]

    @property
    def net(self) -> Money:
        """What the tax is computed from."""
        return Money(self.net_minor, self.currency)

    @property
    def amount(self) -> Money:
        """The tax."""
        return Money(self.tax_minor, self.currency)

    @property
    def reason(self) -> str:
        """Why nothing is charged, as printed; empty where something is."""
        return TaxCategory(self.category).reason

    def __str__(self) -> str:
        return f"{self.name} {self.jurisdiction} {self.rate.normalize():f} %"
