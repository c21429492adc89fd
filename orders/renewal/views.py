"""The customer's subscriptions: what renews when, paid by what, and how that is changed."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.permissions import Access, Action
from billing import cancellations, metering
from billing import pausing as billing_pausing
from billing.models import CancellationReason, Subscription
from core import clock
from orders import cancellation, pausing
from orders.renewal import queries
from orders.renewal.forms import CancelForm, PauseForm

PER_PAGE = 25


@login_required
@require_safe
def subscriptions(request: HttpRequest) -> HttpResponse:
    """The current organization's subscriptions, the next to renew at the top."""
    access: Access = request.access  # type: ignore[attr-defined]
    if not access.may(Action.SUBSCRIPTION_VIEW, request.organization):  # type: ignore[attr-defined]
        raise Http404
    rows = queries.subscriptions_of(access, request.organization)  # type: ignore[attr-defined]
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    now = clock.now()
    context = {
        "renewals": queries.renewals_of(page.object_list, at=now),
        "hourly_costs": metering.hourly_costs(request.organization, at=now),  # type: ignore[attr-defined]
        "page_obj": page,
        "at": now,
    }
    return render(request, "subscriptions/list.html", context)


def _subscription_for(request: HttpRequest, action: Action, pk: UUID) -> Subscription:
    return get_object_or_404(queries.subscriptions_for(request.access, action), pk=pk)  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What canceling means, the question why, and the act."""
    row = _subscription_for(request, Action.SUBSCRIPTION_CANCEL, pk)
    form = CancelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        now = clock.now()
        try:
            if not cancellation.cancel_undelivered(subscription=row, actor=request.user, at=now):  # type: ignore[arg-type]
                cancellations.cancel(
                    subscription=row,
                    reason=CancellationReason(form.cleaned_data["reason"]),
                    comment=form.cleaned_data["comment"],
                    actor=request.user,
                    at=now,
                )
        except cancellations.NotPossible:
            messages.info(request, _("This subscription is over already."))
        except cancellation.OthersInOrder:
            text = _("This server is being set up with others. It costs nothing until it runs: cancel it when it runs.")
            messages.info(request, text)
        else:
            messages.success(request, _("Canceled. You are not charged again."))
        return redirect("subscriptions:list")
    now = clock.now()
    (renewal,) = queries.renewals_of([row], at=now)
    context = {"renewal": renewal, "form": form, "at": now, "deleted_at": row.deletion_if_over(now)}
    return render(request, "subscriptions/cancel.html", context, status=422 if request.method == "POST" else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def undo_cancellation(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a subscription that was canceled go on after its period."""
    row = _subscription_for(request, Action.SUBSCRIPTION_CANCEL, pk)
    if request.method == "POST":  # who had to sign in first comes back by a link
        try:
            cancellations.undo(subscription=row, actor=request.user, at=clock.now())
        except cancellations.NotPossible:
            messages.error(request, _("This subscription can no longer be continued. Order a new server instead."))
        else:
            messages.success(request, _("Your subscription goes on. See below how it renews."))
    return redirect("subscriptions:list")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pause(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a pause means, the question until when, and the act."""
    row = _subscription_for(request, Action.SUBSCRIPTION_PAUSE, pk)
    now = clock.now()
    refused, form = pausing.refusal(row, now), None
    if not refused:
        form = PauseForm(request.POST or None, days=billing_pausing.days_to_resume(row))
    if form and request.method == "POST" and form.is_valid():
        until = billing_pausing.resumption_on(row, form.cleaned_data["until"])
        try:
            pausing.pause(subscription=row, until=until, actor=request.user, at=now)
        except billing_pausing.PauseRefused as error:
            refused = str(error)
        except ValueError:  # the period moved while the form was sent: its days are others now
            form.add_error("until", _("This day can no longer be chosen. Choose another one."))
        else:
            messages.success(request, _("The pause is planned. Nothing is billed while it lasts."))
            return redirect("subscriptions:list")
    (renewal,) = queries.renewals_of([row], at=now)
    context = {"renewal": renewal, "form": form, "refused": refused, "at": now}
    return render(request, "subscriptions/pause.html", context, status=422 if request.method == "POST" else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def end_pause(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let a subscription that pauses go on now, or withdraw the pause before it begins."""
    row = _subscription_for(request, Action.SUBSCRIPTION_PAUSE, pk)
    if request.method == "POST":  # who had to sign in first comes back by a link
        now = clock.now()
        if billing_pausing.end_pause(subscription=row, actor=request.user, at=now):
            billing_pausing.bill_now(subscription=row, actor=request.user, at=now)
            text = _("The pause is over. The server starts when its next period is paid.")
        else:
            text = _("Your subscription goes on. See below how it renews.")
        messages.success(request, text)
    return redirect("subscriptions:list")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def set_auto_renewal(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Switch automatic renewal on or off."""
    row = _subscription_for(request, Action.SUBSCRIPTION_RENEW, pk)
    wanted = request.POST.get("is_auto_renewed")
    if request.method != "POST" or wanted not in {"on", "off"}:
        return redirect("subscriptions:list")
    try:
        cancellations.set_auto_renewal(
            subscription=row, is_auto_renewed=wanted == "on", actor=request.user, at=clock.now()
        )
    except cancellations.NothingToCharge:
        messages.error(
            request,
            _("Nothing could be charged for the next period. Add money to your wallet or save a payment method first."),
        )
    except cancellations.NotPossible:
        messages.error(request, _("The renewal of this subscription cannot be changed here. See below how it stands."))
    else:
        messages.success(request, _("Automatic renewal is on.") if wanted == "on" else _("Automatic renewal is off."))
    return redirect("subscriptions:list")
