"""Subscriptions at the prices they were sold at."""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.gateways import BillingMode
from billing.models.invoices import ItemKind
from catalog.models import AddonPrice, PlanPrice, Term
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Money


@dataclass(frozen=True)
class Period:
    """The time that one charge pays for: from `start` up to but not including `end`."""

    start: datetime
    end: datetime


def next_period_end(start: datetime, term: Term | str, anchor_day: int) -> datetime:
    """When the period that begins at `start` ends.

    Months keep the day of the purchase: from 31 January to 28 or 29 February, then 31 March.
    """
    months = Term(term).months
    if not months:
        return start + timedelta(hours=1)
    count = start.year * 12 + start.month - 1 + months
    year, month = count // 12, count % 12 + 1
    day = min(anchor_day, calendar.monthrange(year, month)[1])
    return start.replace(year=year, month=month, day=day)


class SubscriptionStatus(StatusChoices):
    PENDING = "pending", Tone.INFO, _("Pending")
    ACTIVE = "active", Tone.SUCCESS, _("Active")
    PAST_DUE = "past_due", Tone.WARNING, _("Past due")
    SUSPENDED = "suspended", Tone.WARNING, _("Suspended")
    CANCELED = "canceled", Tone.NEUTRAL, _("Canceled")
    ENDED = "ended", Tone.NEUTRAL, _("Ended")


class Subscription(StateMachine, Entity, Timestamped):
    """A recurring sale. The current period is the one that has been paid for."""

    tenancy = tenancy.OWNED
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        SubscriptionStatus.PENDING: {SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED},
        SubscriptionStatus.ACTIVE: {
            SubscriptionStatus.PAST_DUE,
            SubscriptionStatus.SUSPENDED,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.ENDED,
        },
        SubscriptionStatus.PAST_DUE: {
            SubscriptionStatus.ACTIVE,
            SubscriptionStatus.SUSPENDED,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.ENDED,
        },
        SubscriptionStatus.SUSPENDED: {
            SubscriptionStatus.ACTIVE,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.ENDED,
        },
        # Canceled unpaid, and the payment arrived later.
        SubscriptionStatus.CANCELED: {SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED},
        SubscriptionStatus.ENDED: set(),
    }

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="subscriptions")
    status = StatusField(max_length=10, choices=SubscriptionStatus, default=SubscriptionStatus.PENDING)
    term = models.CharField(_("billing cycle"), max_length=12, choices=Term)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField(
        _("price per period"), help_text=_("Plan and add-ons, less what is taken off every period.")
    )
    billing_mode = models.CharField(max_length=8, choices=BillingMode, default=BillingMode.SELF)
    is_auto_renewed = models.BooleanField(
        _("renews automatically"),
        default=False,
        help_text=_("The customer's choice at checkout. A cancellation leaves it as it is."),
    )
    current_period_start = models.DateTimeField(null=True, blank=True)
    current_period_end = models.DateTimeField(null=True, blank=True)
    anchor_day = models.PositiveSmallIntegerField(
        _("billing day"), null=True, blank=True, help_text=_("Day of the month on which periods begin.")
    )
    cancels_at_period_end = models.BooleanField(default=False)
    canceled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        indexes = [
            models.Index(
                fields=["billing_mode", "current_period_end"],
                name="billing_subscription_due",
                condition=models.Q(status__in=["active", "past_due"]),
            ),
        ]
        constraints = [
            choices_check("billing_subscription_status_known", "status", SubscriptionStatus),
            choices_check("billing_subscription_term_known", "term", Term),
            choices_check("billing_subscription_mode_known", "billing_mode", BillingMode),
            models.CheckConstraint(
                name="billing_subscription_period_when_active",
                condition=~models.Q(status__in=["active", "past_due", "suspended"])
                | models.Q(
                    current_period_start__isnull=False,  # a CHECK lets a comparison with null pass
                    current_period_end__isnull=False,
                    current_period_end__gt=models.F("current_period_start"),
                ),
            ),
            models.CheckConstraint(
                name="billing_subscription_amount_not_negative", condition=models.Q(amount_minor__gte=0)
            ),
        ]

    @property
    def amount(self) -> Money:
        """What a period costs."""
        return Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.amount}, {self.get_term_display()}, {self.get_status_display()}"


class SubscriptionItem(Entity, Timestamped):
    """A plan or an add-on of a subscription with the price it was sold at, or a discount, whose price is negative.

    It is part of the subscription from `valid_from` up to but not including `valid_until`, or for good while that is
    empty. At any time a subscription has one plan at most: the database refuses a second one.
    """

    tenancy = tenancy.OWNED

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="items")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    kind = models.CharField(max_length=16, choices=ItemKind)
    plan_price = models.ForeignKey(PlanPrice, null=True, blank=True, on_delete=models.PROTECT)
    addon_price = models.ForeignKey(
        AddonPrice, null=True, blank=True, on_delete=models.PROTECT, verbose_name=_("add-on price")
    )
    description = models.CharField(max_length=255)
    quantity = models.IntegerField(default=1)
    unit_minor = models.DecimalField(
        _("unit price"),
        max_digits=20,
        decimal_places=10,
        help_text=_("In minor units, and finer where needed: 0.69 is $0.0069."),
    )
    currency = models.CharField(max_length=3)
    valid_from = models.DateTimeField(_("valid from"))
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True)
    periods = models.IntegerField(
        _("periods"),
        null=True,
        blank=True,
        help_text=_("For how many periods, from the first, a discount is valid. Empty: for every one."),
    )
    position = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("subscription item")
        verbose_name_plural = _("subscription items")
        ordering = ["position"]
        constraints = [
            models.CheckConstraint(
                name="billing_subscription_item_has_its_price",
                condition=models.Q(kind="plan", plan_price__isnull=False, addon_price__isnull=True)
                | models.Q(kind="addon", plan_price__isnull=True, addon_price__isnull=False)
                | models.Q(kind="discount", plan_price__isnull=True, addon_price__isnull=True),
            ),
            iff(
                "billing_subscription_item_negative_iff_discount", models.Q(kind="discount"), models.Q(unit_minor__lt=0)
            ),
            models.CheckConstraint(
                name="billing_subscription_item_periods_of_discount",
                condition=models.Q(periods__isnull=True) | models.Q(kind="discount", periods__gt=0),
            ),
            models.CheckConstraint(
                name="billing_subscription_item_quantity_positive", condition=models.Q(quantity__gte=1)
            ),
            models.CheckConstraint(
                name="billing_subscription_item_valid_forward",
                condition=models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=models.F("valid_from")),
            ),
        ]

    def __str__(self) -> str:
        return self.description
