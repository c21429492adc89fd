"""The customer's pages of a plan change: choosing, the quote, confirming, paying, canceling."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.middleware import tenant_transaction
from accounts.permissions import Action
from billing import checkout, checkout_options, credit, payment_views
from billing import queries as billing
from billing.gateway_accounts import NoGateway
from billing.models import Payment, PaymentState
from catalog.models import Term
from catalog.services import SoldOut
from core import clock, outside, tenancy
from core.money import Money
from core.pages import render_part
from orders.changes import ending, locking, making, quoting
from orders.changes.forms import ChangeForm
from orders.changes.models import OPEN, PlanChange, PlanChangeStatus
from orders.changes.offers import change_offer
from orders.models import OrderItem
from orders.storefront.offers import period_name
from orders.views import MINOR_UNITS
from servers import queries as servers
from servers.capacity import InsufficientCapacity

log = logging.getLogger(__name__)
RETURNED = "returned"  # in the address after a payment: its webhook arrives a moment later
NO_ROOM = gettext_lazy(
    "The machine that your server runs on has no room for this. Choose a smaller plan, or contact support."
)


def changes_for(request: HttpRequest) -> Any:
    """The changes that the user may make, with all that their page shows."""
    organizations = request.access.organizations(Action.PLAN_CHANGE)  # type: ignore[attr-defined]
    joined = ("item__server", "invoice", "subscription", "plan_price__plan__product", "old_plan_price__plan")
    return PlanChange.objects.filter(organization__in=organizations).select_related(*joined)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def choose(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the server can be changed to. A POST quotes it."""
    server = get_object_or_404(servers.servers_for(request.access, Action.PLAN_CHANGE), pk=pk)  # type: ignore[attr-defined]
    at = clock.now()
    item = locking.item_to_change(get_object_or_404(OrderItem, server=server.pk).pk)
    change = PlanChange.objects.filter(subscription=item.subscription_id, status__in=OPEN).first()
    if change is not None and change.status != PlanChangeStatus.QUOTED:
        return redirect("orders:plan_change", pk=change.pk)
    context: dict[str, Any] = {"server": server, "subscription": item.subscription}
    reason = quoting.refusal(item, at)
    if reason or item.server is None:
        return render(request, "orders/choose_plan.html", context | {"reason": reason})
    form = ChangeForm(request.POST or None, offer=change_offer(item.subscription, item.server, at))
    if form.is_valid():
        try:
            change = making.request_change(item=item, selection=form.selection, actor=request.user, at=at)  # type: ignore[arg-type]
            return redirect("orders:plan_change", pk=change.pk)
        except quoting.ChangeRefused as error:
            form.add_error(None, str(error))
        except making.AnotherChangeOpen:
            return redirect("orders:choose_plan", pk=pk)
    status = 422 if form.errors else 200
    return render(request, "orders/choose_plan.html", context | {"form": form}, status=status)


@login_required
@require_safe
def plan_change(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The change: its quote line by line, and what can be done with it."""
    change = get_object_or_404(changes_for(request), pk=pk)
    at = clock.now()
    balance = credit.balance_of(change.organization_id, change.currency)
    payment = open_payment_of(change)
    context = {
        "change": change,
        "server": change.item.server,
        "at": at,
        "period": period_name(Term(change.plan_price.term)),
        "balance": balance,
        "paid_by_credit": payment.credit if payment else Money.zero(change.currency),
        "payable": payment.amount if payment else change.due,
        "is_paid_by_credit": balance >= change.due and change.due.minor > 0,
        "is_expired": change.status == PlanChangeStatus.QUOTED and change.expires_at <= at,
        "is_cancelable": change.status in OPEN and ending.is_cancelable(change, at),
        "charge": payment if payment and payment.payment_method_id else None,
        "declined": billing.last_decline_of(change.invoice) if change.invoice and not payment else None,
        "is_processing": payment is not None and payment.state == PaymentState.PROCESSING,
        "is_confirming": change.status == PlanChangeStatus.PENDING_PAYMENT and RETURNED in request.GET,
    }
    is_waiting = context["is_confirming"] or context["charge"] is not None
    context["is_live"] = is_waiting or change.status == PlanChangeStatus.APPLYING
    return render_part(request, "orders/plan_change.html", "change", context)


def open_payment_of(change: PlanChange) -> Payment | None:
    """The payment that was begun for the change and is neither made nor over."""
    if change.invoice_id is None:
        return None
    rows = Payment.objects.filter(invoice=change.invoice_id, state__in=Payment.OPEN)
    return rows.select_related("invoice", "organization", "payment_method").first()


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Agree to the quote: capacity is reserved, and then it is paid or scheduled."""
    with tenant_transaction(request):
        change = get_object_or_404(changes_for(request), pk=pk)
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("orders:plan_change", pk=pk)
    try:
        change = making.confirm(change=change, actor=request.user, at=clock.now())  # type: ignore[arg-type]
    except making.QuoteOutdated:
        messages.info(request, _("This quote no longer holds. Choose again, and you see what it costs now."))
        return redirect("orders:choose_plan", pk=change.item.server_id)
    except quoting.ChangeRefused as error:
        messages.error(request, str(error))
    except SoldOut:
        messages.error(request, _("This plan is out of stock."))
    except InsufficientCapacity:
        messages.error(request, str(NO_ROOM))
    else:
        if change.status == PlanChangeStatus.PENDING_PAYMENT:
            return go_and_pay(request, change)
    return redirect("orders:plan_change", pk=pk)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Go (back) to the payment of a confirmed change, or say how it is paid."""
    with tenant_transaction(request):
        change = get_object_or_404(changes_for(request), pk=pk)
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("orders:plan_change", pk=pk)
    return go_and_pay(request, change)


def go_and_pay(request: HttpRequest, change: PlanChange) -> HttpResponse:
    """Pay with your wallet balance where that suffices and the customer wants it, else go to the gateway's page.

    Wants no transaction to be open: the gateway is asked. No more credit is used than the page said that was sent.
    """
    back, at = redirect("orders:plan_change", pk=change.pk), clock.now()
    shown = shown_credit(request, change)
    is_credit_enough = not change.due or ("uses_credit" in request.POST and shown >= change.due)
    if is_credit_enough and making.pay_with_credit(change=change, at=at):
        messages.success(request, _("Your server is being changed."))
        return back
    try:
        payment = making.open_payment(change=change, at=at)
    except making.ChangeClosed:
        return back
    except NoGateway:
        messages.error(request, _("We cannot take payments in this currency at the moment. Please try again later."))
        return back
    except outside.OutsideError as error:
        log.warning("closing the charge of plan change %s: %s", change.pk, error)
        messages.error(request, _("Your card's charge could not be closed yet. Try again in a moment."))
        return back
    if "uses_credit" in request.POST and credit.use_credit(payment=payment, at_most=shown, at=at):
        return back
    with tenant_transaction(request):
        payment = Payment.objects.select_related("invoice", "organization").get(pk=payment.pk)
    return choose_and_pay(request, change, payment)


def choose_and_pay(request: HttpRequest, change: PlanChange, payment: Payment) -> HttpResponse:
    """In the way that was chosen, else to the choice, or on to the gateway's page where there is none."""
    choice, chosen = checkout_options.choice_of(payment), request.POST.get("option", "")
    if payment.payment_method_id is not None:
        return redirect("orders:plan_change", pk=change.pk)
    if choice is None:
        return open_session(request, change, payment)
    method = choice.method(chosen)
    if method is not None and payment_views.charge_chosen(request, payment, method):
        return redirect("orders:plan_change", pk=change.pk)
    options = checkout_options.options_of(payment, choice.accounts)
    option = next((option for option in options if option.value == chosen), None)
    if option is not None:
        return open_session(request, change, checkout_options.choose_option(payment=payment, option=option))
    with tenant_transaction(request):
        context = {"change": change, "payment": payment, "methods": choice.methods, "options": options}
        return render(request, "orders/pay_plan_change.html", context)


def shown_credit(request: HttpRequest, change: PlanChange) -> Money:
    """The credit that the customer's page showed."""
    text = request.POST.get("shown_credit", "")
    return Money(int(text) if MINOR_UNITS.fullmatch(text) else 0, change.currency)


def open_session(request: HttpRequest, change: PlanChange, payment: Payment) -> HttpResponse:
    """To the payment's session at its gateway, or to the change where that cannot be opened now."""
    change_url = reverse("orders:plan_change", kwargs={"pk": change.pk})
    try:
        url = checkout.create_session(
            payment=payment,
            success_url=f"{settings.SITE_URL}{change_url}?{RETURNED}=1",
            cancel_url=f"{settings.SITE_URL}{change_url}",
            at=clock.now(),
        )
    except outside.OutsideError as error:
        log.warning("payment page of plan change %s: %s", change.pk, error)
        messages.error(
            request, _("We could not open the payment page, and nothing was charged. Try again in a moment.")
        )
        return redirect(change_url)
    return HttpResponseRedirect(url, status=303)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_charge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where the owner of a saved card confirms what it is charged for a change."""
    with tenant_transaction(request):
        change = get_object_or_404(changes_for(request), pk=pk)
        payment = open_payment_of(change)
    back = reverse("orders:plan_change", kwargs={"pk": pk})
    return payment_views.confirm(request, payment, back=back, back_to=_("Change plan"))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Cancel a change that has not begun."""
    change = get_object_or_404(changes_for(request), pk=pk)
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("orders:plan_change", pk=pk)
    if ending.cancel(change=change, actor=request.user, at=clock.now()):  # type: ignore[arg-type]
        messages.success(request, _("Canceled. Your server stays as it is."))
        return redirect("servers:detail", pk=change.item.server_id)
    messages.info(request, _("This change can no longer be canceled."))
    return redirect("orders:plan_change", pk=pk)
