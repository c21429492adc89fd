"""Ordering: the configurator, paying, and watching the order become a server."""

import logging
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.middleware import tenant_transaction
from accounts.models import Organization
from billing import checkout
from billing.models import Payment, PaymentState
from catalog.models import Product, Term
from catalog.services import SoldOut
from core import outside, site_settings, tenancy
from core.pages import render_part
from orders import queries, services
from orders.forms import ConfigureForm, initial_choice, no_room_message
from orders.models import Order, OrderStatus
from orders.offers import Offer, offer_of, period_name
from orders.timeline import seconds_since_payment, timeline
from servers.capacity import InsufficientCapacity

log = logging.getLogger(__name__)
LIVE = {OrderStatus.PENDING_PAYMENT, OrderStatus.PAID, OrderStatus.PROVISIONING, OrderStatus.WAITING_CAPACITY}
RETURNED = "returned"  # in the address of somebody whom the payment page sent back: they paid, and we hear in a moment
REMEMBERED = ("plan", "location", "term", "addons", "server_name")


def currency_of(request: HttpRequest) -> str:
    """The organization's currency, or the shop's for visitors."""
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    return organization.currency if organization else str(site_settings.get("shop.currency"))


@tenancy.non_atomic_view
@require_http_methods(["GET", "HEAD", "POST"])
def configure(request: HttpRequest, slug: str) -> HttpResponse:
    """The plan configurator. A POST places the order, then sends the customer to the page where it is paid."""
    with tenant_transaction(request):
        offer = offer_of(_product(slug), currency_of(request))
        if request.method != "POST" or "reprice" in request.POST:
            return _configurator(request, _form(request, offer))
        if not request.user.is_authenticated:
            return _sign_in_first(request)
        form = ConfigureForm(request.POST, offer=offer)
        order = _placed(request, form) if form.is_valid() else None
        if order is None:
            log.info("order form refused: %s", sorted(form.errors))
            return _configurator(request, form, status=422)
    return _to_payment(request, order)


def _product(slug: str) -> Product:
    return get_object_or_404(Product, slug=slug, is_active=True)


def _form(request: HttpRequest, offer: Offer) -> ConfigureForm:
    """A form not judged yet, filled from the address (so that a choice survives signing in) or from "Update price"."""
    return ConfigureForm(initial=initial_choice(offer, request.POST or request.GET), offer=offer)


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    kept = [(name, value) for name in REMEMBERED for value in request.POST.getlist(name)]
    target = f"{request.path}?{urlencode(kept)}"
    return HttpResponseRedirect(f"{reverse('account_signup')}?{urlencode({'next': target})}")


def _placed(request: HttpRequest, form: ConfigureForm) -> Order | None:
    """Place the order, or say beside the field why it cannot be."""
    try:
        return services.place_order(
            organization=request.organization,  # type: ignore[attr-defined]
            user=request.user,  # type: ignore[arg-type]
            choice=form.choice,
            form_token=form.cleaned_data["form_token"],
            at=timezone.now(),
        )
    except InsufficientCapacity:
        form.add_error("location", no_room_message())
    except SoldOut:
        form.add_error("plan", _("This size is sold out."))
    return None


def _configurator(request: HttpRequest, form: ConfigureForm, status: int = 200) -> HttpResponse:
    term = Term(form.chosen("term")) if form.chosen("term") in Term.values else None
    context = {
        "product": form.offer.product,
        "plans": form.offer.plans(term),
        "form": form,
        "quote": _shown_quote(form),
    }
    return render_part(request, "orders/configure.html", "quote", context, status=status)


def _shown_quote(form: ConfigureForm) -> dict[str, Any] | None:
    quote = form.quote()
    if quote is None:
        return None
    period = {"price": quote.recurring, "period": period_name(quote.term)}
    return {"lines": quote.lines, "due_today": quote.due_today, "later": _later() % period}


def _later() -> str:
    """What happens after the first period, as things are set up now."""
    if site_settings.get("billing.gateway_renews"):
        return _("Then %(price)s every %(period)s, until you cancel.")
    return _("Pays for one %(period)s. A further one costs %(price)s, and nothing is charged by itself.")


def _to_payment(request: HttpRequest, order: Order) -> HttpResponse:
    """The hosted page for the order's open payment; where it cannot be opened now, the order's page says so."""
    with tenant_transaction(request):
        payment = Payment.objects.filter(invoice_id=order.invoice_id, state=PaymentState.PENDING).first()
    page = reverse("orders:progress", kwargs={"pk": order.pk})
    if payment is None:
        return redirect(page)
    try:
        url = checkout.create_session(
            payment_id=payment.pk,
            success_url=f"{settings.SITE_URL}{page}?{RETURNED}=1",
            cancel_url=f"{settings.SITE_URL}{page}",
            at=timezone.now(),
        )
    except outside.OutsideError as error:
        log.warning("payment page of order %s: %s", order.number, error)
        messages.error(request, _("The payment page could not be opened. Your place is held; try again in a moment."))
        return redirect(page)
    return HttpResponseRedirect(url, status=303)


@tenancy.non_atomic_view
@login_required
@require_POST
def pay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Go (back) to the payment page of an order that waits for money."""
    with tenant_transaction(request):
        order = get_object_or_404(Order, pk=pk)
        try:
            services.reopen_payment(order_id=order.pk, at=timezone.now())
        except services.OrderClosed:
            return redirect("orders:progress", pk=pk)
    return _to_payment(request, order)


@login_required
@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Cancel an order that is not paid; money that still arrives for it brings it back."""
    order = get_object_or_404(Order, pk=pk)
    is_canceled = services.cancel_unpaid(
        order_id=order.pk,
        reason="canceled by the customer",
        actor=request.user,  # type: ignore[arg-type]
        at=timezone.now(),
    )
    if not is_canceled:
        messages.info(request, _("This order is past canceling."))
    return redirect("orders:progress", pk=pk)


@login_required
@require_safe
def progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The order's page, which follows it to the running server."""
    order = queries.order_for_page().filter(pk=pk).first()
    if order is None:
        raise Http404
    item = order.items.all()[0]
    order.server_name = item.server_name  # type: ignore[attr-defined]
    order.plan_name = f"{item.plan_price.plan.product.name} {item.plan_price.plan.name}"  # type: ignore[attr-defined]
    order.location_name = str(item.location)  # type: ignore[attr-defined]
    order.held_until = order.expires_at  # type: ignore[attr-defined]
    context = {
        "order": order,
        "steps": timeline(order),
        "server": item.server,
        "is_live": order.status in LIVE,
        "is_payment_under_review": services.is_payment_under_review(order),
        "is_confirming": order.status == OrderStatus.PENDING_PAYMENT and RETURNED in request.GET,
        "running_after": seconds_since_payment(order, order.active_at),
    }
    return render_part(request, "orders/progress.html", "progress", context)
