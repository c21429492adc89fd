"""What is for sale now."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Product, Promotion


def products_for_sale() -> "models.QuerySet[Product]":
    """Active products."""
    return Product.objects.filter(is_active=True).fetch_mode(models.FETCH_RAISE).order_by("position", "name")


def plans_for_sale(*products: Product) -> "models.QuerySet[Plan]":
    """The products' active plans, smallest first."""
    plans = Plan.objects.filter(product__in=products, is_active=True)
    return plans.order_by("position", "memory_mib").fetch_mode(models.FETCH_RAISE)


def current_plan_prices(plans: Sequence[Plan], currency: str) -> list[PlanPrice]:
    """The plans' current prices for every term, with plan and product joined. One query."""
    prices = PlanPrice.objects.filter(plan__in=plans, currency=currency, superseded_at__isnull=True)
    return list(prices.select_related("plan__product").order_by("plan__position", "amount_minor"))


def current_addon_prices(product: Product, currency: str) -> list[AddonPrice]:
    """The current prices of the product's add-ons for every term. One query."""
    addons = Addon.objects.filter(is_active=True, products=product)
    prices = AddonPrice.objects.filter(addon__in=addons, currency=currency, superseded_at__isnull=True)
    return list(prices.select_related("addon").order_by("addon__position", "addon__name"))


def currencies_for_sale() -> list[str]:
    """Every currency in which a plan has a price. One query."""
    prices = PlanPrice.objects.filter(superseded_at__isnull=True, plan__is_active=True, plan__product__is_active=True)
    return list(prices.order_by("currency").values_list("currency", flat=True).distinct())


def open_promotions() -> "models.QuerySet[Promotion]":
    """Promotions that are given now, by the database's clock."""
    has_begun = Q(starts_at=None) | Q(starts_at__lte=Now())
    return Promotion.objects.filter(has_begun, Q(ends_at=None) | Q(ends_at__gt=Now()), is_active=True)


def promotions_of(plans: Iterable[Plan]) -> dict[UUID, list[Promotion]]:
    """The open promotions of each plan, by its id. One query."""
    found: dict[UUID, list[Promotion]] = defaultdict(list)
    for promotion in open_promotions().filter(plans__in=plans).annotate(plan_id=F("plans")).order_by("pk"):
        found[promotion.plan_id].append(promotion)
    return dict(found)
