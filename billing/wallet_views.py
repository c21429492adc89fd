"""The customer's wallet: its balance and statement, and adding money to it."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.middleware import tenant_transaction
from accounts.models import Organization
from accounts.permissions import Access, Action
from billing import (
    auto_top_ups,
    checkout,
    checkout_options,
    gateway_accounts,
    metering,
    payment_views,
    queries,
    statement,
    top_ups,
)
from billing.models import AccountKind, LedgerAccount, Payment, Posting
from billing.wallet_forms import AutoTopUpForm, TopUpForm
from core import clock, csv_files, outside, tenancy

log = logging.getLogger(__name__)
PER_PAGE = 50
SAVES = "10/10m/user"
RETURNED = "returned"  # in the address after a payment: its webhook arrives a moment later


def organization_for(request: HttpRequest, action: Action) -> Organization:
    """The current organization, if the user may do the action there. Http404 where they may not."""
    access: Access = request.access  # type: ignore[attr-defined]
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    if organization is None or not access.may(action, organization):
        raise Http404
    return organization


def shown_wallet(request: HttpRequest, accounts: list[LedgerAccount]) -> LedgerAccount | None:
    """The wallet in the currency that the address names, else in the organization's, else any."""
    wallets = {row.currency: row for row in accounts if row.kind == AccountKind.WALLET}
    wanted = (request.GET.get("currency"), request.organization.currency)  # type: ignore[attr-defined]
    return next((wallets[code] for code in wanted if code in wallets), next(iter(wallets.values()), None))


@login_required
@require_safe
def wallet(request: HttpRequest) -> HttpResponse:
    """Balance, top-ups that are open, and the statement, newest first."""
    organization = organization_for(request, Action.WALLET_VIEW)
    return _render_wallet(request, organization)


@login_required
@require_POST
def save_auto_top_up(request: HttpRequest) -> HttpResponse:
    """Charge the saved card whenever the credit is low, or no more."""
    organization = organization_for(request, Action.WALLET_TOP_UP)
    form = AutoTopUpForm(request.POST, organization=organization)
    if not form.is_valid():
        return _render_wallet(request, organization, auto_form=form)
    limit = {"save": SAVES}  # each may have the card charged at once; it can always be switched off
    if form.cleaned_data["is_active"] and not ratelimit.consume(request, app="billing", action="save", config=limit):
        form.add_error(None, _("You have saved this too often. Wait a few minutes and try again."))
        return _render_wallet(request, organization, auto_form=form)
    auto_top_ups.save(organization=organization, actor=request.user, at=clock.now(), **form.cleaned_data)
    is_on = form.cleaned_data["is_active"]
    messages.success(request, _("Automatic top-up is on.") if is_on else _("Automatic top-up is off."))
    return redirect("wallet:wallet")


def _render_wallet(
    request: HttpRequest,
    organization: Organization,
    form: TopUpForm | None = None,
    auto_form: AutoTopUpForm | None = None,
) -> HttpResponse:
    """The page with what was entered, where that has errors."""
    status = 422 if form or auto_form else 200
    accounts = sorted(
        statement.accounts_of(organization), key=lambda row: (row.currency, row.kind != AccountKind.WALLET)
    )
    shown = shown_wallet(request, accounts)
    rows = statement.statement_of(shown) if shown else Posting.objects.none()
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "accounts": accounts,
        "grants": statement.grants_of(organization),
        "disputed": statement.disputed_credit_of(organization),
        "shown": shown,
        "postings": [(row, statement.invoice_of(row.entry), statement.cause_of(row.entry)) for row in page.object_list],
        "page_obj": page,
        "hourly_costs": metering.hourly_costs(organization, at=clock.now()),
        "open_top_ups": top_ups.open_top_ups(organization),
        "form": form or TopUpForm(currency=organization.currency),
        "auto_form": auto_form or AutoTopUpForm(organization=organization),
        "declined_top_up": top_ups.last_decline_of(organization),
        "last_attempt": auto_top_ups.attempts_of(organization, organization.currency).first(),
        "is_returned": RETURNED in request.GET,
        "at": clock.now(),
    }
    return render(request, "billing/wallet.html", context, status=status)


@tenancy.non_atomic_view
@login_required
@require_safe
def statement_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The whole statement as a file, written while it is read."""
    with tenant_transaction(request):
        organization = organization_for(request, Action.WALLET_VIEW)
        shown = shown_wallet(request, statement.accounts_of(organization))
    if shown is None:
        raise Http404

    def rows() -> Iterator[Sequence[Any]]:
        with tenant_transaction(request):
            yield from statement.csv_rows(shown)

    return csv_files.csv_response(f"wallet-{shown.currency}", statement.HEADER, rows())


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_POST
def top_up(request: HttpRequest) -> HttpResponse:
    """Begin a top-up, and go to the gateway's page or first to the choice of how to pay."""
    with tenant_transaction(request):
        organization = organization_for(request, Action.WALLET_TOP_UP)
        form = TopUpForm(request.POST, currency=organization.currency)
        if not form.is_valid():
            return _render_wallet(request, organization, form)
    try:
        payment = top_ups.open_top_up(
            organization=organization,
            amount=form.cleaned_data["amount"],
            form_token=form.cleaned_data["form_token"],
            at=clock.now(),
        )
    except top_ups.TooManyOpen:
        messages.error(request, _("You have several top-ups open. Continue one of them, or wait until they are over."))
        return redirect("wallet:wallet")
    except gateway_accounts.NoGateway:
        messages.error(request, _("No payment method is available right now. Try again in a moment."))
        return redirect("wallet:wallet")
    if payment.payment_method_id is not None:  # sent again, and it is charged already
        return redirect("wallet:wallet")
    if checkout_options.choice_of(payment):
        return redirect("wallet:pay_top_up", pk=payment.pk)
    return _open_session(request, payment)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pay_top_up(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How to pay an open top-up, or, where that is decided, on to the gateway's page."""
    with tenant_transaction(request):
        owned = queries.top_ups_for(request.access, Action.WALLET_TOP_UP)  # type: ignore[attr-defined]
        payment = get_object_or_404(owned, pk=pk)
    choice = checkout_options.choice_of(payment)
    is_charged = payment.payment_method_id is not None  # by us: nothing is paid on a page
    if is_charged or not payment.is_open(clock.now()) or (choice is None and request.method != "POST"):
        return redirect("wallet:wallet")
    if choice is None:
        return _open_session(request, payment)
    method = choice.method(request.POST.get("option", ""))
    if method is not None and payment_views.charge_chosen(request, payment, method):
        return redirect("wallet:wallet")
    options = checkout_options.options_of(payment, choice.accounts)
    chosen = next((option for option in options if option.value == request.POST.get("option")), None)
    if chosen is not None:
        return _open_session(request, checkout_options.choose_option(payment=payment, option=chosen))
    is_unanswered = request.method == "POST"
    with tenant_transaction(request):
        context = {"payment": payment, "methods": choice.methods, "options": options, "is_unanswered": is_unanswered}
        return render(request, "billing/choose_top_up.html", context, status=422 if is_unanswered else 200)


def _open_session(request: HttpRequest, payment: Payment) -> HttpResponse:
    """To the payment's page at its gateway, or back to the wallet where that cannot be opened now."""
    page = f"{settings.SITE_URL}{reverse('wallet:wallet')}"
    try:
        url = checkout.create_session(
            payment=payment, success_url=f"{page}?{RETURNED}=1", cancel_url=page, at=clock.now()
        )
    except outside.OutsideError as error:
        log.warning("payment page of top-up %s: %s", payment.pk, error)
        messages.error(
            request, _("We could not open the payment page, and nothing was charged. Try again in a moment.")
        )
        return redirect("wallet:wallet")
    return HttpResponseRedirect(url, status=303)
