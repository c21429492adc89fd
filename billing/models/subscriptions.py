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
from core import site_settings, tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Money

# A deletion is told so long before it is done, also where a shop begins to remind late.
DELETION_NOTICE = timedelta(days=3)


@dataclass(frozen=True)
class Period:
    """The time that one charge pays for: from `start` up to but not including `end`."""

    start: datetime
    end: datetime


def next_period_end(start: datetime, term: Term | str, anchor_day: int) -> datetime:
    """When the period that begins at `start` ends.

    Months keep the day of the purchase: from 31 January to 28 or 29 February, then 31 March. The database has the same
    function, billing_next_period_end.
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
    PAUSED = "paused", Tone.NEUTRAL, _("Paused")
    CANCELED = "canceled", Tone.NEUTRAL, _("Canceled")
    ENDED = "ended", Tone.NEUTRAL, _("Ended")


class CancellationReason(models.TextChoices):
    """Why a customer canceled; the values are those that payment gateways use."""

    TOO_EXPENSIVE = "too_expensive", _("It costs too much")
    UNUSED = "unused", _("I do not use it enough")
    MISSING_FEATURES = "missing_features", _("Something that I need is missing")
    LOW_QUALITY = "low_quality", _("It was slow or often down")
    TOO_COMPLEX = "too_complex", _("It is too hard to use")
    CUSTOMER_SERVICE = "customer_service", _("I was not happy with the support")
    SWITCHED_SERVICE = "switched_service", _("I am moving to another host")
    OTHER = "other", _("Another reason")


class Subscription(StateMachine, Entity, Timestamped):
    """A recurring sale. The current period is the one that has been paid for."""

    tenancy = tenancy.OWNED
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        SubscriptionStatus.PENDING: {SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED},
        SubscriptionStatus.ACTIVE: {
            SubscriptionStatus.PAST_DUE,
            SubscriptionStatus.SUSPENDED,
            SubscriptionStatus.PAUSED,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.ENDED,
        },
        SubscriptionStatus.PAST_DUE: {
            SubscriptionStatus.ACTIVE,
            SubscriptionStatus.SUSPENDED,
            SubscriptionStatus.PAUSED,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.ENDED,
        },
        SubscriptionStatus.SUSPENDED: {
            SubscriptionStatus.ACTIVE,
            SubscriptionStatus.PAUSED,
            SubscriptionStatus.CANCELED,
            SubscriptionStatus.ENDED,
        },
        # After its pause it is suspended until its next period is paid.
        SubscriptionStatus.PAUSED: {SubscriptionStatus.SUSPENDED, SubscriptionStatus.ENDED},
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
    metered_from = models.DateTimeField(
        _("metered from"),
        null=True,
        blank=True,
        help_text=_("The first hour charged since its server runs, or runs again. The period ends with the last one."),
    )
    unpaid_until = models.DateTimeField(
        _("ran unpaid until"),
        null=True,
        blank=True,
        help_text=_("Of one that its wallet did not pay: until which hour it ran. What is unpaid is charged first."),
    )
    unpaid_deletes_at = models.DateTimeField(
        _("unpaid, deleted on"),
        null=True,
        blank=True,
        help_text=_("The day that its owner was told when its wallet did not pay it. No later suspension moves it."),
    )
    change_pending_until = models.DateTimeField(
        _("change being paid until"),
        null=True,
        blank=True,
        help_text=_("Until then a change of its items can be paid, so that no renewal of it is billed before."),
    )
    pauses_until = models.DateTimeField(
        _("pauses until"),
        null=True,
        blank=True,
        help_text=_("Its customer wants no period after the one that is paid, and goes on then. Empty: it renews."),
    )
    cancels_at_period_end = models.BooleanField(default=False)
    canceled_at = models.DateTimeField(null=True, blank=True)
    cancellation_reason = models.CharField(
        _("reason of cancellation"),
        max_length=16,
        choices=CancellationReason,
        blank=True,
        default="",
        help_text=_("As the customer gave it. Empty: the customer did not cancel here."),
    )
    cancellation_comment = models.CharField(_("comment on the cancellation"), max_length=500, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)
    label = models.CharField(
        _("name on invoices"), max_length=64, blank=True, default="", help_text=_("The server's name.")
    )
    deletion_due_at = models.DateTimeField(
        _("deletion due at"),
        null=True,
        blank=True,
        help_text=_("When what it paid for is deleted. Empty while it goes on, and once the deletion was asked for."),
    )

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        indexes = [
            models.Index(
                fields=["billing_mode", "current_period_end"],
                name="billing_subscription_due",
                condition=models.Q(status__in=["active", "past_due", "suspended"]),
            ),
            models.Index(
                fields=["current_period_end"],
                name="billing_subscription_metered",
                condition=models.Q(metered_from__isnull=False, status__in=["active", "suspended"]),
            ),
            models.Index(
                fields=["pauses_until"],
                name="billing_subscription_pausing",
                condition=models.Q(pauses_until__isnull=False),
            ),
            models.Index(
                fields=["deletion_due_at"],
                name="billing_subscription_to_delete",
                condition=models.Q(deletion_due_at__isnull=False),
            ),
        ]
        constraints = [
            choices_check("billing_subscription_status_known", "status", SubscriptionStatus),
            choices_check("billing_subscription_term_known", "term", Term),
            choices_check("billing_subscription_mode_known", "billing_mode", BillingMode),
            models.CheckConstraint(
                name="billing_subscription_period_when_active",
                condition=~models.Q(status__in=["active", "past_due", "suspended", "paused"])
                | models.Q(
                    current_period_start__isnull=False,  # a CHECK lets a comparison with null pass
                    current_period_end__isnull=False,
                    current_period_end__gt=models.F("current_period_start"),
                ),
            ),
            models.CheckConstraint(
                name="billing_subscription_cancellation_reason_known",
                condition=models.Q(cancellation_reason__in=["", *CancellationReason.values]),
            ),
            models.CheckConstraint(
                name="billing_subscription_reason_when_canceled",
                condition=models.Q(cancels_at_period_end=True)
                | models.Q(cancellation_reason="", cancellation_comment=""),
            ),
            # The same instant where no hour is charged yet.
            models.CheckConstraint(
                name="billing_subscription_metered_by_the_hour",
                condition=models.Q(metered_from__isnull=True)
                | models.Q(term=Term.HOURLY, billing_mode=BillingMode.SELF, current_period_end__isnull=False)
                & models.Q(current_period_end__gte=models.F("metered_from")),
            ),
            iff(
                "billing_subscription_deletion_told_with_suspension",
                models.Q(unpaid_until__isnull=False),
                models.Q(unpaid_deletes_at__isnull=False),
            ),
            # A gateway would go on charging, and an hour is charged only while the server runs.
            models.CheckConstraint(
                name="billing_subscription_pauses_what_we_renew",
                condition=models.Q(pauses_until__isnull=True)
                | models.Q(billing_mode=BillingMode.SELF, status__in=["active", "past_due", "suspended", "paused"])
                & ~models.Q(term=Term.HOURLY),
            ),
            models.CheckConstraint(
                name="billing_subscription_paused_until",
                condition=~models.Q(status="paused") | models.Q(pauses_until__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_subscription_amount_not_negative", condition=models.Q(amount_minor__gte=0)
            ),
            models.CheckConstraint(
                name="billing_subscription_deleted_when_ended",
                condition=models.Q(deletion_due_at__isnull=True) | models.Q(status="ended"),
            ),
        ]

    @property
    def planned_deletion_at(self) -> datetime | None:
        """When what it paid for is deleted, once it has ended or where it ends with its period; None where neither."""
        if self.deletion_due_at or not self.cancels_at_period_end or self.status == SubscriptionStatus.ENDED:
            return self.deletion_due_at
        return self.deletion_after_period

    @property
    def deletion_after_period(self) -> datetime | None:
        """When that would be if it ended with its period, or was canceled after that."""
        over = self.canceled_at or self.current_period_end
        return self.deletion_if_over(over) if over else None

    def deletion_if_over(self, at: datetime) -> datetime:
        """When that would be if it ended at this time, or with the period that is paid until later.

        What is billed by the hour is kept no longer than customers are told of a deletion before: nobody holds capacity
        for weeks for the price of an hour.
        """
        kept_for = timedelta(days=site_settings.get("billing.delete_after_days"))
        if self.term == Term.HOURLY:
            return at + min(kept_for, DELETION_NOTICE)
        return max(at, self.current_period_end or at) + kept_for

    @property
    def unpaid_hours(self) -> int:
        """How many hours it ran that its wallet did not pay yet; they are charged before it goes on."""
        if self.unpaid_until is None or self.current_period_end is None:
            return 0
        return max(timedelta(), self.unpaid_until - self.current_period_end) // timedelta(hours=1)

    @property
    def amount(self) -> Money:
        """What a period costs."""
        return Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        name = f"{self.label}, " if self.label else ""
        return f"{name}{self.amount}, {self.get_term_display()}, {self.get_status_display()}"


class SubscriptionItem(Entity, Timestamped):
    """A plan or an add-on of a subscription with the price it was sold at, or a discount, whose price is negative.

    It is part of the subscription from `valid_from` up to but not including `valid_until`, or for good while that is
    empty. Without `valid_from` it is not part of it: the change that adds it was not paid. At any time a subscription
    has one plan at most: the database refuses a second one.
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
    valid_from = models.DateTimeField(
        _("valid from"), null=True, blank=True, help_text=_("Empty: a change that was not paid would add it.")
    )
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
                condition=models.Q(valid_until__isnull=True)
                | models.Q(valid_from__isnull=False, valid_until__gt=models.F("valid_from")),
            ),
        ]

    def __str__(self) -> str:
        return self.description
