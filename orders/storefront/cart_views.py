"""The pages of the cart: looking at it, changing it, and ordering all of it at once."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.middleware import tenant_transaction
from accounts.permissions import Action
from catalog import queries as catalog
from catalog.models import Product
from catalog.services import SoldOut
from core import outside, tenancy
from core.pages import render_part
from orders.models import Order
from orders.placement import ItemOutOfStock
from orders.storefront import cart as carts
from orders.storefront import ordering
from orders.storefront.cart import Cart
from orders.storefront.cart_forms import CartForm, CartItem
from orders.storefront.currencies import currency_of, is_currency_chosen_for_good, sold_currency
from orders.storefront.forms import initial_payment
from orders.storefront.item_form import OUT_OF_STOCK_HERE, PLAN_OUT_OF_STOCK, ids_in
from orders.storefront.offers import Offer, for_reader, offer_of
from orders.storefront.payment_form import payment_fields
from orders.storefront.published import read_once
from orders.views import redirect_to_payment

log = logging.getLogger(__name__)


@outside.calls_outside
@tenancy.non_atomic_view
@require_http_methods(["GET", "HEAD", "POST"])
def cart(request: HttpRequest) -> HttpResponse:
    """The cart. A POST orders everything in it at once and sends the customer to the payment page."""
    with tenant_transaction(request):
        organization = request.organization  # type: ignore[attr-defined]
        found = carts.cart_of(request)
        if request.method != "POST" or "reprice" in request.POST:
            return render_cart(request, cart_form(request, found))
        if not found.lines:
            return redirect_to_placed(request)
        form = cart_form(request, found, sent=request.POST)
        is_valid = form.is_valid() and not ordering.refuse_unseen_total(request, form)
        if is_valid and not request.user.is_authenticated:
            back = f"{request.path}?{urlencode(payment_fields(request.POST) | {'uses_credit': 'on'})}"
            return redirect(f"{reverse('account_signup')}?{urlencode({'next': back})}")
    order = None
    if request.user.is_authenticated and not request.access.may(Action.ORDER_PLACE, organization):  # type: ignore[attr-defined]
        form.add_error(None, _("Only the owner and admins of %(name)s can order for it.") % {"name": organization})
    elif is_valid and request.user.is_authenticated:
        order = place_order(request, form, found.pk)
    if order is None:
        log.info("cart refused: %s", sorted(form.errors))
        with tenant_transaction(request):
            return render_cart(request, form, status=422)
    answer = redirect_to_payment(request, order)
    carts.keep(answer, Cart(), request)
    return answer


def place_order(request: HttpRequest, form: CartForm, form_token: UUID) -> Order | None:
    """One order of everything in the cart; None where it cannot be placed, which the form then says."""
    requests = form.requests()
    try:
        return ordering.place_order(request, form, order_request=form.order_request(requests), form_token=form_token)
    except ItemOutOfStock as error:
        gone = [(item, str(OUT_OF_STOCK_HERE)) for item in form.items if error.item in item.requests]
    except SoldOut as error:
        sold_out = [item for item in form.items if item.priced[0].plan_price.plan_id == error.plan_id]
        gone = [(item, str(PLAN_OUT_OF_STOCK)) for item in sold_out]
    for item, text in gone:
        item.refusals.append(text)
    form.add_error(None, _("Nothing was ordered or charged: not everything in your cart is available any more."))
    return None


def redirect_to_placed(request: HttpRequest) -> HttpResponse:
    """To the order that the sent page became, when it is sent another time; else to the empty cart."""
    organization = request.organization  # type: ignore[attr-defined]
    placed = Order.objects.filter(organization=organization, form_token__in=ids_in(request.POST.get("form_token", "")))
    order_id = placed.values_list("pk", flat=True).first() if organization else None
    return redirect("orders:progress", pk=order_id) if order_id else redirect("storefront:cart")


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """Remove a line, or set how many servers of each line are wanted."""
    found = carts.cart_of(request)
    lines = [line for line in found.lines if line.key != request.POST.get("remove")]
    items = [CartItem(line, None, request.POST) for line in lines]
    wrong = [item for item in items if not item.quantity_form.is_valid()]
    if wrong and "remove" not in request.POST:
        form = cart_form(request, found, quantities=request.POST)
        return render_cart(request, form, status=422)
    changed = [
        line if item in wrong else replace(line, quantity=item.quantity_form.cleaned_data["quantity"])
        for line, item in zip(lines, items, strict=True)
    ]
    answer = redirect(f"{reverse('storefront:cart')}?{urlencode(payment_fields(request.POST))}")
    try:
        carts.keep(answer, replace(found, lines=changed), request)
    except carts.CartFull:  # a larger number takes more room
        messages.error(request, _("Your cart is full. Order what is in it first, or remove something."))
    return answer


def cart_form(
    request: HttpRequest, found: Cart, *, sent: QueryDict | None = None, quantities: QueryDict | None = None
) -> CartForm:
    """The form of the cart in the reader's currency, with what was sent of it."""
    currency = currency_of(request)
    published = published_offers(currency, sorted({line.slug for line in found.lines}))
    offers = for_reader(published, request.organization)  # type: ignore[attr-defined]
    keys = ordering.ssh_keys_for(request, *offers.values())
    items = [CartItem(line, offers.get(line.slug), quantities, keys) for line in found.lines]
    choices = request.POST or request.GET
    initial = initial_payment(choices, is_chosen="coupon" in choices) | {"form_token": found.pk}
    sold_in = next((offer.currency for offer in offers.values()), currency)
    form = CartForm(sent, initial=initial, items=items, **ordering.payment_choices(request, sold_in))
    if sent is None:
        form.show_coupon_error()
    return form


def published_offers(currency: str, slugs: Sequence[str]) -> dict[str, Offer]:
    """The offers of those of the products that are sold, by their slugs."""

    def read() -> dict[str, Offer]:
        sold_in = sold_currency(currency, catalog.currencies_for_sale())
        rows = Product.objects.filter(slug__in=slugs, is_active=True)
        return {product.slug: offer_of(product, sold_in) for product in rows}

    return read_once(("offers", currency, tuple(slugs)), read) if slugs else {}


def render_cart(request: HttpRequest, form: CartForm, status: int = 200) -> HttpResponse:
    """The cart's page; for htmx only what changes with a choice."""
    context = ordering.quote_context(request, form)
    offers = [item.offer for item in form.items if item.offer]
    context |= {
        "rows": form.rows(context["quote"]),
        "currency": offers[0].currency if offers else "",
        "currencies": offers[0].currencies if offers and not is_currency_chosen_for_good(request) else [],
        "shown_prices": " ".join(str(pk) for item in form.items for pk in item.shown_ids),
        "payment": payment_fields(request.POST or request.GET),
        "can_order": bool(context["quote"]) and not any(item.problems for item in form.items),
    }
    return render_part(request, "storefront/cart.html", "cart", context, status=status)
