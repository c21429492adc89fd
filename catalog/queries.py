"""What is for sale now."""

from collections.abc import Sequence

from django.db import models

from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Product, Term


def products_for_sale(currency: str) -> "models.QuerySet[Product]":
    """Active products with `plan_count` and their lowest monthly price (`from_minor`, None where unpriced)."""
    price = PlanPrice.objects.filter(
        plan__product=models.OuterRef("pk"),
        plan__is_active=True,
        term=Term.MONTHLY,
        currency=currency,
        superseded_at__isnull=True,
    ).order_by("amount_minor")
    return (
        Product.objects.filter(is_active=True)
        .annotate(
            plan_count=models.Count("plans", filter=models.Q(plans__is_active=True)),
            from_minor=models.Subquery(price.values("amount_minor")[:1]),
        )
        .fetch_mode(models.FETCH_RAISE)
        .order_by("position", "name")
    )


def plans_for_sale(product: Product) -> "models.QuerySet[Plan]":
    """The product's active plans, smallest first."""
    return product.plans.filter(is_active=True).order_by("position", "memory_mib").fetch_mode(models.FETCH_RAISE)


def current_plan_prices(plans: Sequence[Plan], currency: str) -> list[PlanPrice]:
    """The plans' current prices for every term, with plan and product joined. One query."""
    prices = PlanPrice.objects.filter(plan__in=plans, currency=currency, superseded_at__isnull=True)
    return list(prices.select_related("plan__product").order_by("plan__position", "amount_minor"))


def current_addon_prices(product: Product, currency: str) -> list[AddonPrice]:
    """The current prices of the product's add-ons for every term. One query."""
    addons = Addon.objects.filter(is_active=True, products=product)
    prices = AddonPrice.objects.filter(addon__in=addons, currency=currency, superseded_at__isnull=True)
    return list(prices.select_related("addon").order_by("addon__position", "addon__name"))
