"""What is for sale now."""

from collections.abc import Sequence

from django.db import models

from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Product


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
