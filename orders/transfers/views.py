"""Offering a server to somebody else, and taking one."""

from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.core.internal import ratelimit
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Organization, User
from accounts.permissions import Action
from catalog.models import Term
from core import clock, tenancy
from orders.changes import locking
from orders.models import OrderItem
from orders.storefront.offers import period_name
from orders.transfers import transferring
from orders.transfers.models import ServerTransfer, TransferStatus
from servers import queries as servers
from servers.models import Server

TRIES = "20/10m/user"  # so that nobody finds out who has an account


class OfferForm(forms.Form):
    """To whom."""

    email = forms.EmailField(
        label=gettext_lazy("Email address"),
        help_text=gettext_lazy("Of the account that gets the server. Its owner has a week to accept."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )

    def clean_email(self) -> str:
        """Of an account whose owner has confirmed it; kept as `recipient`."""
        email: str = self.cleaned_data["email"]
        with tenancy.as_worker_without_row():
            address = EmailAddress.objects.select_related("user").filter(email__iexact=email, verified=True).first()
        if address is None:
            raise forms.ValidationError(_("There is no account with this address. Ask them to sign up first."))
        self.recipient: User = address.user
        return email


class AcceptForm(forms.Form):
    """For which organization."""

    organization = forms.ModelChoiceField(
        label=gettext_lazy("Organization"), queryset=Organization.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, mine: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organization"].queryset = mine  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def offer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a transfer means; a POST offers the server."""
    server: Server = get_object_or_404(servers.servers_for(request.access, Action.SERVER_TRANSFER), pk=pk)  # type: ignore[attr-defined]
    item = locking.item_to_change(get_object_or_404(OrderItem, server=server.pk).pk)
    at = clock.now()
    reason, form = transferring.refusal(item, at), OfferForm()
    if request.method == "POST" and not reason:
        # Before the address is looked up: else it would be told apart by what is said beside this.
        if ratelimit.consume(request, app="orders", action="offer", config={"offer": TRIES}):
            form = OfferForm(request.POST)
        else:
            messages.error(request, _("You have tried too many addresses. Wait a few minutes and try again."))
    if form.is_valid():
        try:
            transferring.offer(item=item, recipient=form.recipient, actor=request.user, at=at)  # type: ignore[arg-type]
        except transferring.TransferRefused as error:
            form.add_error(None, str(error))
        else:
            return redirect("orders:offer_server", pk=pk)
    opened = ServerTransfer.objects.filter(item=item, status=TransferStatus.OPEN, expires_at__gt=at).first()
    context = {"server": server, "form": form, "reason": reason, "transfer": opened}
    return render(request, "orders/offer_server.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take the offer back."""
    organizations = request.access.organizations(Action.SERVER_TRANSFER)  # type: ignore[attr-defined]
    transfer = get_object_or_404(ServerTransfer.objects.select_related("item"), pk=pk, organization__in=organizations)
    if transferring.cancel(transfer=transfer, actor=request.user, at=clock.now()):  # type: ignore[arg-type]
        messages.success(request, _("The offer is taken back."))
    return redirect("orders:offer_server", pk=transfer.item.server_id) if transfer.item.server_id else redirect("home")


@login_required
@require_safe
def transfer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What is offered to the user."""
    row = get_object_or_404(ServerTransfer, pk=pk, recipient=request.user)
    return render_offer(request, row, AcceptForm(mine=organizations_of(request)))


@login_required
@require_POST
def answer(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take the server, or decline it."""
    row = get_object_or_404(ServerTransfer, pk=pk, recipient=request.user)
    if "decline" in request.POST:
        transferring.decline(transfer=row, actor=request.user, at=clock.now())  # type: ignore[arg-type]
        return redirect("orders:transfer", pk=pk)
    form = AcceptForm(request.POST, mine=organizations_of(request))
    if form.is_valid():
        organization = form.cleaned_data["organization"]
        try:
            order = transferring.accept(
                transfer=row,
                organization=organization,
                actor=request.user,  # type: ignore[arg-type]
                at=clock.now(),
            )
            return redirect("orders:progress", pk=order.pk)
        except transferring.TransferRefused as error:
            form.add_error(None, str(error))
    return render_offer(request, row, form, status=422)


def organizations_of(request: HttpRequest) -> Any:
    """Those for which the user may order."""
    return Organization.objects.filter(pk__in=request.access.organizations(Action.ORDER_PLACE)).order_by("name", "pk")  # type: ignore[attr-defined]


def render_offer(request: HttpRequest, row: ServerTransfer, form: AcceptForm, status: int = 200) -> HttpResponse:
    """The recipient's page."""
    is_open = row.status == TransferStatus.OPEN and row.expires_at > clock.now()
    context = {"transfer": row, "form": form, "is_open": is_open, "period": period_name(Term(row.term))}
    return render(request, "orders/transfer.html", context, status=status)
