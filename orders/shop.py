"""The shop's shelves: what is for sale, and where there is room for it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from catalog import queries as catalog
from catalog.models import Product, Term
from core.money import Money
from orders.offers import offer_of, period_name
from orders.views import currency_of


def shelf(currency: str) -> list[Product]:
    """Products with their lowest price, as the tiles show them."""
    products = list(catalog.products_for_sale(currency))
    for product in products:
        minor = product.from_minor  # type: ignore[attr-defined]
        product.from_price = Money(minor, currency) if minor is not None else None  # type: ignore[attr-defined]
        product.from_period = period_name(Term.MONTHLY)  # type: ignore[attr-defined]
    return products


@require_safe
def products(request: HttpRequest) -> HttpResponse:
    """Everything for sale, or one category of it."""
    everything = shelf(currency_of(request))
    names = {slugify(product.category): product.category for product in everything if product.category}
    category = request.GET.get("category", "")
    shown = [product for product in everything if not category or slugify(product.category) == category]
    context = {
        "products": shown,
        "categories": [{"slug": slug, "name": name} for slug, name in sorted(names.items())],
        "category": category if category in names else "",
    }
    return render(request, "catalog/products.html", context)


@require_safe
def product(request: HttpRequest, slug: str) -> HttpResponse:
    """One product with its sizes, and whether there is room for each."""
    row = get_object_or_404(Product, slug=slug, is_active=True)
    plans = offer_of(row, currency_of(request)).plans(Term.MONTHLY)
    return render(request, "catalog/product.html", {"product": row, "plans": plans})
