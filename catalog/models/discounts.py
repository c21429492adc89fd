"""What is taken off a price: promotions, which everybody gets, and coupons, which want a code."""

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models.products import Plan
from core import tenancy
from core.models import Entity, Timestamped, choices_check, iff
from core.money import Money, Rate, payable_step


class DiscountDuration(models.TextChoices):
    ONCE = "once", _("The first period")
    PERIODS = "periods", _("Several periods")
    FOREVER = "forever", _("Every period")


class Discount(Entity, Timestamped):
    """A percentage or an amount off, in a window of time, for the first periods of a subscription or for all."""

    percent = models.DecimalField(
        _("percent off"),
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        help_text=_("Either this or an amount."),
    )
    amount_minor = models.BigIntegerField(_("amount off"), null=True, blank=True)
    currency = models.CharField(
        _("currency"), max_length=3, blank=True, default="", help_text=_("Of the amounts. Empty where there are none.")
    )
    duration = models.CharField(_("applies to"), max_length=8, choices=DiscountDuration, default=DiscountDuration.ONCE)
    periods = models.PositiveIntegerField(
        _("number of periods"), null=True, blank=True, help_text=_("Only where it applies to several periods.")
    )
    starts_at = models.DateTimeField(_("starts at"), null=True, blank=True, help_text=_("Empty: at once."))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True, help_text=_("Empty: never."))
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        abstract = True

    @property
    def sold_periods(self) -> int | None:
        """How many periods of a subscription it is taken off, from the first; None for every one."""
        return 1 if self.duration == DiscountDuration.ONCE else self.periods

    def is_open(self, at: datetime) -> bool:
        """Whether it is given at this time."""
        has_begun = self.starts_at is None or self.starts_at <= at
        return self.is_active and has_begun and (self.ends_at is None or at < self.ends_at)

    def off(self, price: Money) -> Money:
        """What it takes off the price: at most all of it, rounded once, half to even, to what can be paid.

        Nothing of a price in another currency than that of its amounts.
        """
        if self.currency and self.currency != price.currency:
            return Money.zero(price.currency)
        if self.percent is None:
            return min(price, Money(self.amount_minor or 0, price.currency))
        step = payable_step(price.currency).minor
        steps = Rate(self.percent * price.minor / (100 * step), price.currency).times(1)
        return min(price, steps * step)


def discount_checks(model: str) -> list[models.CheckConstraint]:
    """A percentage or an amount, each within its bounds; a number of periods only where it is asked for."""
    return [
        choices_check(f"catalog_{model}_duration_known", "duration", DiscountDuration),
        iff(f"catalog_{model}_percent_or_amount", models.Q(percent__isnull=True), models.Q(amount_minor__isnull=False)),
        models.CheckConstraint(
            name=f"catalog_{model}_percent_within",
            condition=models.Q(percent__isnull=True) | models.Q(percent__gt=0, percent__lte=Decimal(100)),
        ),
        models.CheckConstraint(
            name=f"catalog_{model}_amount_positive",
            condition=models.Q(amount_minor__isnull=True) | models.Q(amount_minor__gt=0),
        ),
        models.CheckConstraint(
            name=f"catalog_{model}_currency_iso",
            condition=models.Q(currency="") | models.Q(currency__regex="^[A-Z]{3}$"),
        ),
        iff(
            f"catalog_{model}_periods_iff_several",
            models.Q(duration=DiscountDuration.PERIODS),
            models.Q(periods__isnull=False, periods__gt=0),
        ),
        models.CheckConstraint(
            name=f"catalog_{model}_ends_after_start",
            condition=models.Q(starts_at__isnull=True)
            | models.Q(ends_at__isnull=True)
            | models.Q(ends_at__gt=models.F("starts_at")),
        ),
    ]


class Promotion(Discount):
    """Plans at a lower price for a time. Of several, the best one counts. Hourly prices have none."""

    tenancy = tenancy.SHARED

    name = models.CharField(_("name"), max_length=64, help_text=_("Customers read it on the page and the invoice."))
    plans = models.ManyToManyField(Plan, related_name="promotions", verbose_name=_("plans"))

    class Meta:
        verbose_name = _("promotion")
        verbose_name_plural = _("promotions")
        ordering = ["-created_at"]
        constraints = [
            *discount_checks("promotion"),
            iff(
                "catalog_promotion_amount_has_currency",
                models.Q(amount_minor__isnull=True),
                models.Q(currency=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Coupon(Discount):
    """What a code takes off an order's plans and add-ons, after promotions. Setup fees and hourly prices stay.

    An organization's use is an `orders.CouponRedemption`; the limits count those that were not given back.
    """

    tenancy = tenancy.PRIVATE

    code = models.CharField(
        _("code"),
        max_length=32,
        validators=[RegexValidator(r"^[A-Za-z0-9_-]+\Z", _("Only letters, digits, hyphens and underscores."))],
        help_text=_("Capitals make no difference."),
    )
    note = models.CharField(_("note"), max_length=191, blank=True, help_text=_("For staff."))
    cap_minor = models.BigIntegerField(_("at most"), null=True, blank=True)
    minimum_minor = models.BigIntegerField(_("smallest order"), null=True, blank=True)
    max_redemptions = models.PositiveIntegerField(
        _("uses in all"), null=True, blank=True, help_text=_("Empty: unlimited.")
    )
    max_per_customer = models.PositiveIntegerField(
        _("uses by one customer"),
        null=True,
        blank=True,
        default=1,
        help_text=_(
            "By one user in all of their organizations, and by one organization. An order is one use, however many "
            "servers it has; of a coupon of 100% each server is one. Empty: unlimited."
        ),
    )
    plans = models.ManyToManyField(
        Plan, related_name="coupons", blank=True, verbose_name=_("plans"), help_text=_("None chosen: every plan.")
    )
    organizations = models.ManyToManyField(
        Organization,
        related_name="+",
        blank=True,
        verbose_name=_("customers"),
        help_text=_("None chosen, nor any user: every customer."),
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        related_name="+",
        blank=True,
        verbose_name=_("users"),
        help_text=_("Who may use it, whichever customer they order for."),
    )

    class Meta:
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(Upper("code"), name="catalog_coupon_code_once"),
            models.CheckConstraint(
                name="catalog_coupon_code_characters", condition=models.Q(code__regex="^[A-Za-z0-9_-]+$")
            ),
            *discount_checks("coupon"),
            iff(
                "catalog_coupon_amounts_have_currency",
                models.Q(amount_minor__isnull=True, cap_minor__isnull=True, minimum_minor__isnull=True),
                models.Q(currency=""),
            ),
            models.CheckConstraint(
                name="catalog_coupon_cap_positive_of_percent",
                condition=models.Q(cap_minor__isnull=True) | models.Q(cap_minor__gt=0, percent__isnull=False),
            ),
            models.CheckConstraint(
                name="catalog_coupon_minimum_positive",
                condition=models.Q(minimum_minor__isnull=True) | models.Q(minimum_minor__gt=0),
            ),
        ]

    @property
    def cap(self) -> Money | None:
        """The most that it takes off an order."""
        return None if self.cap_minor is None else Money(self.cap_minor, self.currency)

    @property
    def minimum(self) -> Money | None:
        """The smallest order that it may be used for."""
        return None if self.minimum_minor is None else Money(self.minimum_minor, self.currency)

    def off(self, price: Money) -> Money:
        """See `Discount.off`; never more than its cap."""
        off = super().off(price)
        return off if self.cap is None or self.cap.currency != price.currency else min(off, self.cap)

    def __str__(self) -> str:
        return self.code
