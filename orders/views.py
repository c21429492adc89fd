"""A customer's order: paying for it, canceling it, and following it to the running server."""

import logging
import re
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.middleware import tenant_transaction
from accounts.permissions import Action
from billing import checkout, checkout_options, credit, payment_views
from billing import queries as billing
from billing.models import Payment, PaymentState
from core import clock, outside, site_settings, tenancy
from core.money import Money
from core.pages import paged, render_part
from orders import cancellation, limits, paying, queries
from orders.models import Order, OrderStatus
from orders.progress import history_of, progress_of, seconds_since_payment

log = logging.getLogger(__name__)
LIVE = {OrderStatus.PENDING_PAYMENT, OrderStatus.PAID, OrderStatus.PROVISIONING, OrderStatus.WAITING_CAPACITY}
MINOR_UNITS = re.compile(r"[0-9]{1,18}")
PER_PAGE = 50
_orders = paged(queries.orders_of, PER_PAGE)
RETURNED = "returned"  # in the address after a payment: its webhook arrives a moment later


@login_required
@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    """Every order of the current organization, newest first, those that are over too."""
    access, organization = request.access, request.organization  # type: ignore[attr-defined]
    if organization is None or not access.may(Action.ORDER_VIEW, organization):
        raise Http404
    page = _orders(request.GET.get("page"), access, organization)
    return render(request, "orders/list.html", {"orders": page.object_list, "page_obj": page})


@login_required
@require_safe
def progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The order's page, which follows it to the running server."""
    orders = queries.orders_for(request.access, Action.ORDER_VIEW)  # type: ignore[attr-defined]
    order = get_object_or_404(queries.order_for_page(orders), pk=pk)
    items = order.items.all()
    context = {
        "order": order,
        "at": clock.now(),
        "items": items,
        "item": items[0],
        "steps": progress_of(order),
        "history": history_of(order),
        "is_live": order.status in LIVE,
        "is_confirming": order.status == OrderStatus.PENDING_PAYMENT and RETURNED in request.GET,
        "running_after": seconds_since_payment(order, order.active_at),
        "is_held_by_dispute": order.status in queries.UNDELIVERED and queries.is_disputed(order),
        "has_failed_refund": order.status == OrderStatus.CANCELED and queries.has_failed_refund(order),
    }
    used = order.credit
    if order.status == OrderStatus.PENDING_PAYMENT:
        if order.is_credit_to_be_used:
            used = credit.expected_credit(order.invoice)
        context["can_pay"] = order.has_open_payment or limits.can_renew_hold(order)
        context["is_payable_until_expiry"] = checkout.is_payable_until_expiry(order.invoice)
        context["bank_debit_days"] = site_settings.get("orders.bank_debit_days")
    context |= {"credit": used, "left_to_pay": order.total - used}
    return render_part(request, "orders/progress.html", "progress", context)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Go (back) to the payment page of an unpaid order."""
    with tenant_transaction(request):
        order = get_object_or_404(queries.orders_for(request.access, Action.ORDER_PAY), pk=pk)  # type: ignore[attr-defined]
        if request.method != "POST":  # who had to sign in first comes back by a link
            return redirect("orders:progress", pk=pk)
    try:
        paying.reopen_payment(order=order, at=clock.now())
    except paying.OrderClosed:
        return redirect("orders:progress", pk=pk)
    except outside.OutsideError as error:
        log.warning("closing the charge of order %s: %s", order.number, error)
        messages.error(request, _("Your card's charge could not be closed yet. Try again in a moment."))
        return redirect("orders:progress", pk=pk)
    return redirect_to_payment(request, order)


def redirect_to_payment(request: HttpRequest, order: Order) -> HttpResponse:
    """To the gateway's page for what credit does not pay of the order, or first to the choice of how to pay.

    Wants no transaction to be open: the gateway is asked. No more credit is used than the page said that was sent.
    """
    payment = pending_payment(request, order)
    if payment is None:
        return redirect("orders:progress", pk=order.pk)
    if order.uses_credit:
        text = request.POST.get("shown_credit", "")
        shown = Money(int(text) if MINOR_UNITS.fullmatch(text) else 0, order.currency)
        if credit.use_credit(payment=payment, at_most=shown, at=clock.now()):
            return redirect("orders:progress", pk=order.pk)
    if checkout_options.choice_of(payment):
        return redirect("orders:choose_payment", pk=order.pk)
    return open_session(request, order, payment)


def open_session(request: HttpRequest, order: Order, payment: Payment) -> HttpResponse:
    """To the payment's session at its gateway, or to the order where that cannot be opened now."""
    order_url = reverse("orders:progress", kwargs={"pk": order.pk})
    try:
        url = checkout.create_session(
            payment=payment,
            success_url=f"{settings.SITE_URL}{order_url}?{RETURNED}=1",
            cancel_url=f"{settings.SITE_URL}{order_url}",
            at=clock.now(),
        )
    except checkout.CheckoutClosed:
        messages.error(request, _("This payment can no longer be made. See below what you can do."))
        return redirect(order_url)
    except checkout.SessionMismatch:
        messages.error(
            request,
            _(
                "We could not open the payment page, and nothing was charged. This is our fault, and we have been "
                "notified. Your server stays reserved for now."
            ),
        )
        return redirect(order_url)
    except outside.OutsideError as error:
        log.warning("payment page of order %s: %s", order.number, error)
        messages.error(
            request, _("We could not open the payment page. Your server stays reserved; try again in a moment.")
        )
        return redirect(order_url)
    return HttpResponseRedirect(url, status=303)


def pending_payment(request: HttpRequest, order: Order) -> Payment | None:
    """The payment that waits for the order's customer."""
    with tenant_transaction(request):
        rows = Payment.objects.filter(invoice_id=order.invoice_id, state=PaymentState.PENDING)
        return rows.select_related("invoice", "organization").first()


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def choose_payment(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How to pay for an unpaid order: every way that our gateways offer now, with its fee."""
    with tenant_transaction(request):
        order = get_object_or_404(queries.orders_for(request.access, Action.ORDER_PAY), pk=pk)  # type: ignore[attr-defined]
    payment = pending_payment(request, order)
    choice = checkout_options.choice_of(payment) if payment else None
    if payment is None or choice is None:  # nothing is left to pay, or to choose
        return redirect("orders:progress", pk=pk)
    method = choice.method(request.POST.get("option", ""))
    if method is not None and payment_views.charge_chosen(request, payment, method):
        return redirect("orders:progress", pk=pk)
    options = checkout_options.options_of(payment, choice.accounts)
    chosen = next((option for option in options if option.value == request.POST.get("option")), None)
    if chosen is not None:
        checkout_options.choose_option(payment=payment, option=chosen)
        return open_session(request, order, payment)
    with tenant_transaction(request):
        context = {"order": order, "payment": payment, "options": options, "at": clock.now()}
        context["methods"] = choice.methods
        context["is_unanswered"] = request.method == "POST"
        return render(request, "orders/choose_payment.html", context, status=422 if request.method == "POST" else 200)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_charge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where the owner of a saved card confirms what it is charged for an order."""
    with tenant_transaction(request):
        orders = queries.orders_for(request.access, Action.ORDER_PAY)  # type: ignore[attr-defined]
        order = get_object_or_404(orders.select_related("invoice"), pk=pk)
        payment = billing.payment_under_way_of(order.invoice)
    name = _("Order %(number)s") % {"number": order.number}
    return payment_views.confirm(request, payment, back=reverse("orders:progress", kwargs={"pk": pk}), back_to=name)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Cancel an unpaid order. A payment that still arrives is refunded."""
    order = get_object_or_404(queries.orders_for(request.access, Action.ORDER_CANCEL), pk=pk)  # type: ignore[attr-defined]
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("orders:progress", pk=pk)
    is_canceled = cancellation.cancel_unpaid(
        order=order,
        reason="canceled by the customer",
        actor=request.user,  # type: ignore[arg-type]
        at=clock.now(),
    )
    if not is_canceled and order.is_payment_processing:
        messages.info(
            request, _("Your bank is already processing the payment, so this order can no longer be canceled here.")
        )
    elif not is_canceled and checkout.is_payable_until_expiry(order.invoice):
        messages.info(request, _("You opened the payment page, and it cannot be closed from here. See below."))
    elif not is_canceled:
        messages.info(request, _("This order can no longer be canceled here."))
    return redirect("orders:progress", pk=pk)
