"""The customer's pages on which an invoice is paid."""

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
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.middleware import tenant_transaction
from accounts.permissions import Action
from billing import (
    checkout,
    checkout_options,
    credit,
    invoice_payment,
    invoicing,
    pay_all,
    payments,
    queries,
    saved_charges,
)
from billing.checkout_options import CheckoutOption
from billing.models import Invoice, Payment, PaymentMethod
from billing.saved_charges import ChargeDecision
from core import clock, outside, tenancy
from core.money import Money

MINOR_UNITS = re.compile(r"[0-9]{1,18}")
log = logging.getLogger(__name__)
NOT_CHARGEABLE = gettext_lazy("This card cannot be charged now. Please choose another way to pay.")
RETURNED = "returned"  # in the address after the bank's page: the answer arrives a moment later


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_charge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where an e-mail leads: the customer goes on to their bank to confirm what we charge to their saved card."""
    with tenant_transaction(request):
        invoices = queries.invoices_for(request.access, Action.INVOICE_PAY)  # type: ignore[attr-defined]
        invoice = get_object_or_404(invoices.select_related("organization"), pk=pk)
        payment = queries.payment_under_way_of(invoice)
    return confirm(request, payment, back=reverse("billing:invoice", kwargs={"pk": pk}), back_to=str(invoice))


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_top_up(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The same for a top-up."""
    with tenant_transaction(request):
        owned = queries.top_ups_for(request.access, Action.WALLET_TOP_UP)  # type: ignore[attr-defined]
        payment = get_object_or_404(owned.select_related("payment_method"), pk=pk)
    return confirm(request, payment, back=reverse("wallet:wallet"), back_to=_("Wallet"))


def confirm(request: HttpRequest, payment: Payment | None, *, back: str, back_to: str) -> HttpResponse:
    """The page that asks the owner of a saved card to confirm, and the way on to their bank.

    `back` and `back_to` are the address and the name of the page of what is paid.
    """
    if payment is None or not payment.waits_for_owner:
        return redirect(back)
    if request.method != "POST":
        context = {"payment": payment, "at": clock.now(), "is_returned": RETURNED in request.GET}
        context |= {"back": back, "back_to": back_to}
        with tenant_transaction(request):
            return render(request, "billing/confirm_charge.html", context)
    return_url = f"{settings.SITE_URL}{request.path}?{RETURNED}=1"
    try:
        bank_url = saved_charges.confirm_charge(payment=payment, return_url=return_url, at=clock.now())
    except outside.OutsideError as error:
        log.warning("confirming payment %s: %s", payment.pk, error)
        text = _("Your bank's page could not be opened, and nothing was charged. Try again in a moment.")
        messages.error(request, text)
        return redirect(request.path)
    return HttpResponseRedirect(bank_url, status=303) if bank_url else redirect(back)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How to pay an issued invoice: with credit, by a saved card, or in any way that our gateways offer now."""
    with tenant_transaction(request):
        invoices = queries.invoices_for(request.access, Action.INVOICE_PAY)  # type: ignore[attr-defined]
        invoice = get_object_or_404(invoices.select_related("organization"), pk=pk)
        methods = queries.methods_of(invoice.organization)
        balance = credit.balance_of(invoice.organization_id, invoice.currency)
        used = invoice.total if balance >= invoice.total else credit.expected_credit(invoice)
        under_way = queries.payment_under_way_of(invoice)
        is_over = invoice.state not in queries.DUE or payments.is_withdrawn(invoice)
    if is_over or (under_way is not None and not under_way.waits_for_owner):
        return redirect("billing:invoice", pk=pk)  # which says why, or what becomes of the payment
    rest, chosen = invoice.total - used, request.POST.get("option", "")
    method = checkout_options.chosen_method(methods, chosen)
    if method is not None:
        return pay_by_card(request, invoice, method)
    if chosen == "credit" and invoice_payment.pay_with_credit(invoice=invoice, at=clock.now()):
        return redirect("billing:invoice", pk=pk)
    options = checkout_options.options_for(rest, invoice_payment.accounts_of(invoice)) if rest else []
    option = next((each for each in options if each.value == chosen), None)
    if option is not None:
        return go_to_gateway(request, invoice, option)
    is_unanswered = request.method == "POST"
    with tenant_transaction(request):
        context = {"invoice": invoice, "methods": methods, "options": options, "credit": used, "rest": rest}
        context["is_unanswered"] = is_unanswered
        context["left_open"] = checkout.page_left_open(invoice, clock.now())
        return render(request, "billing/pay.html", context, status=422 if is_unanswered else 200)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_POST
def pay_due(request: HttpRequest) -> HttpResponse:
    """Pay every invoice of a currency that is due, with credit and by the default card."""
    with tenant_transaction(request):
        access, organization = request.access, request.organization  # type: ignore[attr-defined]
        if organization is None or not access.may(Action.INVOICE_PAY, organization):
            raise Http404
        currencies = {each.total.currency for each in queries.due_of(organization)}
    if (currency := request.POST.get("currency", "")) not in currencies:
        return redirect("billing:invoices")  # paid meanwhile
    try:
        result = pay_all.pay_all(organization=organization, currency=currency, at=clock.now())
    except outside.OutsideError as error:
        log.warning("paying all of %s: %s", organization.pk, error)
        messages.error(request, _("Not all invoices could be paid. Try again in a moment."))
        return redirect("billing:invoices")
    if result.by_credit:
        text = ngettext(
            "Your wallet balance paid %(count)s invoice.",
            "Your wallet balance paid %(count)s invoices.",
            result.by_credit,
        )
        messages.success(request, text % {"count": result.by_credit})
    if result.by_card:
        text = ngettext(
            "Your card is being charged for %(count)s invoice.",
            "Your card is being charged for %(count)s invoices.",
            result.by_card,
        )
        messages.info(request, text % {"count": result.by_card})
    if result.left:
        text = _("%(left)s is left to pay. Add money to your wallet and pay all again, or pay each invoice by itself.")
        messages.warning(request, text % {"left": result.left})
    return redirect("billing:invoices")


def pay_by_card(request: HttpRequest, invoice: Invoice, method: PaymentMethod) -> HttpResponse:
    """Have a worker charge the saved card; the invoice's page shows how far that is."""
    try:
        decision = invoice_payment.charge_method(invoice=invoice, method=method, at=clock.now())
    except outside.OutsideError as error:
        log.warning("closing what is open of invoice %s: %s", invoice.pk, error)
        decision = ChargeDecision.BEING_PAID
    if decision is ChargeDecision.BEING_PAID:
        messages.info(request, _("A payment page for this invoice is open. Pay there, or wait until it closes."))
    elif decision in {ChargeDecision.NO_METHOD, ChargeDecision.TOO_LITTLE}:
        messages.error(request, NOT_CHARGEABLE)
        return redirect("billing:pay", pk=invoice.pk)
    return redirect("billing:invoice", pk=invoice.pk)


def charge_chosen(request: HttpRequest, payment: Payment, method: PaymentMethod) -> bool:
    """Have a worker charge the chosen card for an open payment; False where it cannot be, which the page then says."""
    decision = saved_charges.charge_payment(payment=payment, method=method, at=clock.now())
    is_refused = decision in {ChargeDecision.NO_METHOD, ChargeDecision.TOO_LITTLE}
    if is_refused:
        messages.error(request, NOT_CHARGEABLE)
    return not is_refused


def go_to_gateway(request: HttpRequest, invoice: Invoice, option: CheckoutOption) -> HttpResponse:
    """To the gateway's page for what credit does not pay; no more credit is used than the page said."""
    text, at = request.POST.get("shown_credit", ""), clock.now()
    shown = Money(int(text) if MINOR_UNITS.fullmatch(text) else 0, invoice.currency)
    url = reverse("billing:invoice", kwargs={"pk": invoice.pk})
    page = f"{settings.SITE_URL}{url}"
    try:
        payment = invoice_payment.open_payment(invoice=invoice, option=option, at_most=shown, at=at)
        if payment is not None:
            url = checkout.create_session(payment=payment, success_url=page, cancel_url=page, at=at)
    except invoicing.MoneyUnderWay:  # since this moment; the invoice's page says it
        log.info("invoice %s is being paid", invoice.pk)
    except outside.OutsideError as error:
        log.warning("payment page of invoice %s: %s", invoice.pk, error)
        messages.error(
            request, _("We could not open the payment page, and nothing was charged. Try again in a moment.")
        )
    except ValueError:  # it was paid or withdrawn in this moment
        log.info("invoice %s does not wait for money", invoice.pk)
    return HttpResponseRedirect(url, status=303)
