"""The storefront: the product list, a product with its plans, and the configurator that places an order."""

import logging
from urllib.parse import urlencode
from uuid import uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.middleware import tenant_transaction
from accounts.permissions import Action
from catalog import queries as catalog
from catalog.models import Product, Term
from catalog.services import SoldOut
from core import clock, outside, tenancy
from core.pages import public_page, render_part
from orders.models import Order
from orders.placement import ItemOutOfStock
from orders.storefront import cart, ordering
from orders.storefront.currencies import currency_of, is_currency_chosen_for_good, sold_currency
from orders.storefront.forms import ConfigureForm, initial_choices
from orders.storefront.item_form import OUT_OF_STOCK_HERE, PLAN_OUT_OF_STOCK, item_choices
from orders.storefront.offers import Offer, for_reader, listing_of, offer_of, period_name
from orders.storefront.payment_form import payment_fields
from orders.storefront.published import read_once
from orders.views import redirect_to_payment
from orders.waitlist import entries as waitlist

log = logging.getLogger(__name__)


@public_page("category")
@require_safe
def products(request: HttpRequest) -> HttpResponse:
    """Everything for sale, or one category of it."""
    currency = currency_of(request)
    listing = read_once(("cards", currency), lambda: listing_of(currency))
    cards = listing.cards
    names = {slugify(card.product.category): card.product.category for card in cards if card.product.category}
    category = request.GET.get("category", "")
    if category and category not in names:
        raise Http404
    context = {
        "cards": [card for card in cards if not category or slugify(card.product.category) == category],
        "categories": [{"slug": slug, "name": name} for slug, name in sorted(names.items())],
        "category": category,
        "category_name": names.get(category, ""),
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
    """The configurator. A POST puts the server into the cart, or orders it and sends the customer to pay."""
    with tenant_transaction(request):
        organization = request.organization  # type: ignore[attr-defined]
        offer = for_reader({slug: published_offer(request, slug)}, organization)[slug]
        choices = ordering.payment_choices(request, offer.currency)
        choices["ssh_keys"] = ordering.ssh_keys_for(request, offer)
        if request.method != "POST" or {"reprice", "join_waitlist"} & set(request.POST):
            form = ConfigureForm(initial=initial_choices(offer, request.POST or request.GET), offer=offer, **choices)
            if "join_waitlist" in request.POST:
                return join_waitlist(request, form)
            form.show_coupon_error()
            return render_configurator(request, form)
        form = ConfigureForm(request.POST, offer=offer, **choices)
        is_valid = form.is_valid()
        if "add_to_cart" in request.POST and not form.item_errors:
            return add_to_cart(request, form, slug)
        is_valid = is_valid and not ordering.refuse_unseen_total(request, form)
        if is_valid and not request.user.is_authenticated:
            # What was chosen travels in the address, for after signing up. Who has credit then was not asked yet.
            sent = [*item_choices(request.POST), *payment_fields(request.POST).items(), ("uses_credit", "on")]
            back = f"{request.path}?{urlencode(sent)}"
            return redirect(f"{reverse('account_signup')}?{urlencode({'next': back})}")
    order = None
    if request.user.is_authenticated and not request.access.may(Action.ORDER_PLACE, organization):  # type: ignore[attr-defined]
        form.add_error(None, _("Only the owner and admins of %(name)s can order for it.") % {"name": organization})
    elif is_valid and request.user.is_authenticated:
        order = place_order(request, form)
    if order is None:
        log.info("order form refused: %s", sorted(form.errors))
        with tenant_transaction(request):
            return render_configurator(request, form, status=422)
    return redirect_to_payment(request, order)


def add_to_cart(request: HttpRequest, form: ConfigureForm, slug: str) -> HttpResponse:
    """Put the server of the form into the cart, instead of the line it was opened from if there is one."""
    found = cart.cart_of(request)
    sent = urlencode(item_choices(request.POST))
    is_change = request.POST.get("line") in {line.key for line in found.lines}
    key = request.POST["line"] if is_change else uuid4().hex[:12]
    answer = redirect(f"{reverse('storefront:cart')}?{urlencode(payment_fields(request.POST))}")
    try:
        cart.keep(answer, found.with_line(cart.Line(key, slug, sent)), request)
    except cart.CartFull:
        form.add_error(None, _("Your cart is full. Order what is in it first, or remove something."))
        return render_configurator(request, form, status=422)
    return answer


def join_waitlist(request: HttpRequest, form: ConfigureForm) -> HttpResponse:
    """Wait for the chosen plan in the chosen region. Who is not signed in comes back to the same page afterwards."""
    if not request.user.is_authenticated:
        back = f"{request.path}?{urlencode(item_choices(request.POST))}"
        return redirect(f"{reverse('account_signup')}?{urlencode({'next': back})}")
    organization = request.organization  # type: ignore[attr-defined]
    plan, region = form.chosen_plan, form.chosen_region
    if not request.access.may(Action.ORDER_PLACE, organization):  # type: ignore[attr-defined]
        messages.error(request, _("Only the owner and admins of %(name)s can order for it.") % {"name": organization})
    elif plan is None or region is None or form.offer.is_available(plan.code, region):
        messages.info(request, _("You need no waitlist for this: it can be ordered now."))
    else:
        try:
            waitlist.join(
                organization=organization,
                plan=plan,
                region=region,
                actor=request.user,
                at=clock.now(),
            )
        except waitlist.TooManyEntries as error:
            messages.error(request, str(error))
        return redirect("orders:waitlist")
    return redirect(f"{request.path}?{urlencode(item_choices(request.POST))}")


def place_order(request: HttpRequest, form: ConfigureForm) -> Order | None:
    """The order of the form's server; None where it cannot be placed, which the form then says."""
    order_request = form.order_request([form.item_request])
    try:
        return ordering.place_order(
            request, form, order_request=order_request, form_token=form.cleaned_data["form_token"]
        )
    except ItemOutOfStock:
        form.add_error("region", OUT_OF_STOCK_HERE)
    except SoldOut:
        form.add_error("plan", PLAN_OUT_OF_STOCK)
    return None


def render_configurator(request: HttpRequest, form: ConfigureForm, status: int = 200) -> HttpResponse:
    """The configurator's page; for htmx only its summary and the prices beside it."""
    term = Term(form.chosen("term")) if form.chosen("term") in Term.values else None
    context = ordering.quote_context(request, form)
    server = context["quote"].servers[0] if context["quote"] else None
    plan, region = form.chosen_plan, form.chosen_region
    context |= {
        "is_sold_out": bool(plan and region and not form.offer.is_available(plan.code, region)),
        "chosen_plan": plan,
        "chosen_region": region,
        "product": form.offer.product,
        "currency": form.offer.currency,
        "currencies": [] if is_currency_chosen_for_good(request) else form.offer.currencies,
        "offers": form.offer.plans(term),
        "shown_prices": " ".join(str(row.pk) for row in form.offer.shown_for(form.chosen("term"))),
        "server": server,
        "period": period_name(server.term) if server else "",
        "line": request.POST.get("line") or request.GET.get("line", ""),
    }
    return render_part(request, "storefront/configure.html", "quote", context, status=status)
