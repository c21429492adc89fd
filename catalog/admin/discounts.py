"""Promotions and coupons. What was sold with one keeps its price, whatever is changed here."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.admin.amounts import AmountsForm
from catalog.models import Coupon, DiscountDuration, Promotion
from core.admin_base import ReadOnlyAdmin


class DiscountForm(AmountsForm):
    """A discount; what does not go together is said beside its field."""

    amount_names: ClassVar[tuple[str, ...]] = ("amount_minor",)

    def clean(self) -> dict[str, Any]:
        """A percentage or an amount, for a number of periods only where that was chosen."""
        cleaned = super().clean()
        starts_at, ends_at = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts_at and ends_at and ends_at <= starts_at:
            self.add_error("ends_at", _("It must end after it starts."))
        if "percent" not in self.fields:  # it was entered before, and stays
            return cleaned
        if (cleaned.get("percent") is None) == (cleaned.get("amount_minor") is None) and not self.errors:
            self.add_error("percent", _("Enter either a percentage or an amount."))
        if cleaned.get("duration") != DiscountDuration.PERIODS:
            cleaned["periods"] = None
        elif not cleaned.get("periods"):
            self.add_error("periods", _("Enter for how many periods it applies."))
        return cleaned


class CouponForm(DiscountForm):
    """A coupon, which may also have a cap and a smallest order."""

    amount_names = ("amount_minor", "cap_minor", "minimum_minor")

    class Meta:
        labels: ClassVar[dict[str, Any]] = {"cap_minor": _("Takes off at most")}
        help_texts: ClassVar[dict[str, Any]] = {
            "cap_minor": _("Of a percentage only, such as 4.50. Empty: no limit."),
            "minimum_minor": _("What an order must cost before the discount, such as 4.50. Empty: any order."),
        }

    def clean(self) -> dict[str, Any]:
        """Only a percentage has a cap."""
        cleaned = super().clean()
        if cleaned.get("cap_minor") is not None and cleaned.get("percent") is None:
            self.add_error("cap_minor", _("Only a percentage needs a limit: an amount never takes off more."))
        return cleaned


WHAT = ("percent", "amount_minor", "currency", "duration", "periods")
WHEN = ("starts_at", "ends_at", "is_active")


class DiscountAdmin(ReadOnlyAdmin):
    """What promotions and coupons share. Plans and customers are searched for: a shop may have thousands."""

    formfield_overrides: ClassVar[dict[Any, Any]] = {}


@admin.register(Promotion)
class PromotionAdmin(DiscountAdmin):
    """Lower prices for a time, which every visitor sees."""

    form = DiscountForm
    editable = ("name", "plans", *WHEN)  # what it takes off stays: customers have seen it
    addable = ("name", *WHAT, "plans", *WHEN)
    list_display = ("name", "percent", "amount_minor", "duration", "starts_at", "ends_at", "is_active")
    list_filter = ("is_active",)
    search_fields = ("name",)
    autocomplete_fields = ("plans",)


@admin.register(Coupon)
class CouponAdmin(DiscountAdmin):
    """Codes that customers enter in the configurator."""

    form = CouponForm
    limits = ("max_redemptions", "max_per_customer")
    editable = ("code", "note", *WHAT, "cap_minor", "minimum_minor", *limits, "plans", "organizations", "users", *WHEN)
    addable = editable
    list_display = ("code", "percent", "amount_minor", "duration", "starts_at", "ends_at", *limits, "is_active")
    list_filter = ("is_active",)
    search_fields = ("code", "note")
    autocomplete_fields = ("plans", "organizations", "users")
