"""The storefront: the product list, a product with its plans, and the configurator that places an order."""

import logging
import re
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlencode
from uuid import UUID

from allauth.core.internal import ratelimit  # the public one counts no GET, and a code can be in the address
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.middleware import tenant_transaction
from accounts.models import Organization
from accounts.permissions import Action
from accounts.services import CurrencyFixed
from billing import credit
from billing.gateway_accounts import NoGateway
from catalog import queries as catalog
from catalog.models import Product, Term
from catalog.services import SoldOut
from core import clock, outside, tenancy
from core.client_address import client_ip
from core.pages import public_page, render_part
from orders import coupons, placement
from orders.coupons import CouponRefused
from orders.limits import TooManyUnpaidOrders
from orders.models import Order
from orders.quote import CouponUse, PricedItem
from orders.storefront.currencies import currency_of, is_currency_chosen_for_good, sold_currency
from orders.storefront.forms import OUT_OF_STOCK_HERE, ConfigureForm, initial_choices
from orders.storefront.offers import Offer, listing_of, offer_of, period_name
from orders.storefront.published import read_once
from orders.views import redirect_to_payment
from servers.capacity import InsufficientCapacity

log = logging.getLogger(__name__)
TOO_MANY_UNPAID = gettext_lazy("You have too many unpaid orders. Pay or cancel one of them on your home page first.")
SHOWN_TOTAL = re.compile(r"[0-9]{1,15}")
FIELDS_THROUGH_SIGN_UP = ("plan", "region", "term", "addons", "is_auto_renewed", "server_name", "coupon")
WRONG_CODES = "20/10m/ip"


@public_page("category")
@require_safe
def products(request: HttpRequest) -> HttpResponse:
    """Everything for sale, or one category of it."""
    currency = currency_of(request)
    listing = read_once(("cards", currency), lambda: listing_of(currency))
    cards = listing.cards
    names = {slugify(card.product.category): card.product.category for card in cards if card.product.category}
    category = request.GET.get("category", "")
    context = {
        "cards": [card for card in cards if not category or slugify(card.product.category) == category],
        "categories": [{"slug": slug, "name": name} for slug, name in sorted(names.items())],
        "category": category if category in names else "",
        "currency": listing.currency,
        "currencies": [] if is_currency_chosen_for_good(request) else listing.currencies,
    }
    return render(request, "storefront/products.html", context)


@public_page()
@require_safe
def product(request: HttpRequest, slug: str) -> HttpResponse:
    """One product with its plans, and whether each is available."""
    offer = published_offer(request, slug)
    context = {"product": offer.product, "offers": offer.plans(Term.MONTHLY), "currency": offer.currency}
    context["currencies"] = [] if is_currency_chosen_for_good(request) else offer.currencies
    return render(request, "storefront/product.html", context)


def published_offer(request: HttpRequest, slug: str) -> Offer:
    """The offer of an active product in the reader's currency, or a 404."""
    currency = currency_of(request)

    def read() -> Offer:
        found = get_object_or_404(Product, slug=slug, is_active=True)
        return offer_of(found, sold_currency(currency, catalog.currencies_for_sale()))

    return read_once(("offer", slug, currency), read)


@outside.calls_outside
@tenancy.non_atomic_view
@require_http_methods(["GET", "HEAD", "POST"])
def configure(request: HttpRequest, slug: str) -> HttpResponse:
    """The configurator. A POST places the order, then sends the customer to the payment page."""
    with tenant_transaction(request):
        organization = request.organization  # type: ignore[attr-defined]
        offer = published_offer(request, slug)
        balance = credit.balance_of(organization.pk, offer.currency) if organization else None
        find_coupon = partial(find_limited, request, organization)
        if request.method != "POST" or "reprice" in request.POST:
            initial = initial_choices(offer, request.POST or request.GET)
            form = ConfigureForm(initial=initial, offer=offer, find_coupon=find_coupon, balance=balance)
            form.show_coupon_error()
            return render_configurator(request, form)
        form = ConfigureForm(request.POST, offer=offer, find_coupon=find_coupon, balance=balance)
        is_valid = form.is_valid()
        if is_valid and is_total_higher_than_shown(request, form):
            form.add_error(None, _("The total has changed with your tax. Check the summary, then continue to order."))
            is_valid = False
        if is_valid and not request.user.is_authenticated:
            # What was chosen travels in the address, for after signing up. Who has credit then was not asked yet.
            choices = [(name, value) for name in FIELDS_THROUGH_SIGN_UP for value in request.POST.getlist(name)]
            back = f"{request.path}?{urlencode([*choices, ('uses_credit', 'on')])}"
            return redirect(f"{reverse('account_signup')}?{urlencode({'next': back})}")
    order = None
    if request.user.is_authenticated and not request.access.may(Action.ORDER_PLACE, organization):  # type: ignore[attr-defined]
        form.add_error(None, _("Only the owner and admins of %(name)s can order for it.") % {"name": organization})
    elif is_valid and request.user.is_authenticated:
        order = place_order(request, organization, form)
    if order is None:
        log.info("order form refused: %s", sorted(form.errors))
        with tenant_transaction(request):
            return render_configurator(request, form, status=422)
    return redirect_to_payment(request, order)


def place_order(request: HttpRequest, organization: Organization, form: ConfigureForm) -> Order | None:
    """The order that the form asks for; None where it cannot be placed, which the form then says."""
    try:
        return placement.place_order(
            organization=organization,
            user=request.user,  # type: ignore[arg-type]
            order_request=form.order_request,
            form_token=form.cleaned_data["form_token"],
            ip=client_ip(request),
            at=clock.now(),
        )
    except InsufficientCapacity:
        form.add_error("region", OUT_OF_STOCK_HERE)
    except SoldOut:
        form.add_error("plan", _("This plan is out of stock."))
    except CurrencyFixed as error:
        text = _("Your account pays in %(currency)s since its first order.") % {"currency": error.currency}
        form.add_error(None, text)
    except CouponRefused as error:
        form.add_error("coupon", str(error))
    except NoGateway:
        form.add_error(None, _("We cannot take payments in this currency at the moment. Please try again later."))
    except TooManyUnpaidOrders:
        form.add_error(None, TOO_MANY_UNPAID)
    return None


def is_total_higher_than_shown(request: HttpRequest, form: ConfigureForm) -> bool:
    """Whether the tax has changed since the page was opened, so that more is due than it said."""
    quote, shown = form.quote(), request.POST.get("shown_total", "")
    if quote is None or not SHOWN_TOTAL.fullmatch(shown):
        return False
    due_today = quote.with_tax(request.organization, clock.now()).due_today  # type: ignore[attr-defined]
    return quote.due_today.minor <= int(shown) < due_today.minor


def find_limited(
    request: HttpRequest,
    organization: Organization | None,
    code: str,
    items: Sequence[PricedItem],
    form_token: UUID | None,
) -> CouponUse:
    """See `coupons.find_coupon`. Who tries many wrong codes waits, so that codes cannot be guessed."""
    limit = partial(ratelimit.consume, request, app="orders", action="code", config={"code": WRONG_CODES})
    if not limit(limit_get=True, dry_run=True):
        raise CouponRefused(_("You have tried too many codes. Wait a few minutes and try again."))
    try:
        return coupons.find_coupon(
            code=code, items=items, organization=organization, form_token=form_token, at=clock.now()
        )
    except coupons.UnknownCode:
        limit(limit_get=True)
        raise


def render_configurator(request: HttpRequest, form: ConfigureForm, status: int = 200) -> HttpResponse:
    """The configurator's page; for htmx only its summary and the prices beside it."""
    term = Term(form.chosen("term")) if form.chosen("term") in Term.values else None
    quote = form.quote()
    if quote is not None:
        quote = quote.with_tax(request.organization, clock.now())  # type: ignore[attr-defined]
    used = form.credit_for(quote) if quote else None
    context = {
        "product": form.offer.product,
        "currency": form.offer.currency,
        "currencies": [] if is_currency_chosen_for_good(request) else form.offer.currencies,
        "offers": form.offer.plans(term),
        "shown_prices": " ".join(str(row.pk) for row in form.offer.shown_for(form.chosen("term"))),
        "form": form,
        "quote": quote,
        "period": period_name(quote.term) if quote else "",
        "is_auto_renewed": form.is_checked("is_auto_renewed"),
        "credit": used,
        "left_to_pay": quote.due_today - used if quote and used else None,
        "is_credit_wanted": form.is_checked("uses_credit"),
    }
    return render_part(request, "storefront/configure.html", "quote", context, status=status)
