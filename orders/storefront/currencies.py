"""The currency of prices: the organization's once it has ordered, else the one the reader chose, else the shop's."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from accounts.models import Organization
from catalog import queries as catalog
from core import site_settings
from core.money import CODE

COOKIE = "currency"
COOKIE_SECONDS = 365 * 24 * 3600


def currency_of(request: HttpRequest) -> str:
    """The currency of the reader's prices, as they chose it; `sold_currency` says whether anything is sold in it."""
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    if organization is not None and organization.currency_fixed_at is not None:
        return organization.currency
    chosen = request.COOKIES.get(COOKIE, "")
    if CODE.fullmatch(chosen):
        return chosen
    return organization.currency if organization else str(site_settings.get("shop.currency"))


def sold_currency(currency: str, currencies: list[str]) -> str:
    """The currency, or the shop's where nothing is sold in it any more."""
    return currency if currency in currencies else str(site_settings.get("shop.currency"))


def is_currency_chosen_for_good(request: HttpRequest) -> bool:
    """Whether the reader's organization has ordered, and pays in one currency from then on."""
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    return organization is not None and organization.currency_fixed_at is not None


@require_safe
def choose_currency(request: HttpRequest) -> HttpResponse:
    """Show prices in another currency from now on, and return to the page that the link was on."""
    back = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("storefront:products")
    answer = redirect(back)
    code = request.GET.get("code", "")
    if CODE.fullmatch(code) and code in catalog.currencies_for_sale():
        answer.set_cookie(
            COOKIE, code, max_age=COOKIE_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure()
        )
    return answer
