"""catalog's tables."""

from catalog.models.discounts import Coupon, Discount, DiscountDuration, Promotion
from catalog.models.products import (
    MAX_UNITS,
    Addon,
    AddonKind,
    AddonPrice,
    Image,
    Kind,
    Plan,
    PlanPrice,
    Price,
    Product,
    Term,
)

__all__ = [
    "MAX_UNITS",
    "Addon",
    "AddonKind",
    "AddonPrice",
    "Coupon",
    "Discount",
    "DiscountDuration",
    "Image",
    "Kind",
    "Plan",
    "PlanPrice",
    "Price",
    "Product",
    "Promotion",
    "Term",
]
