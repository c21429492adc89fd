"""What the configurator and the cart have in common: what an order costs, and placing it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast
from uuid import UUID

from allauth.core.internal import ratelimit  # the public one counts no GET, and a code can be in the address
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import Organization, SshKey, User
from accounts.services import CurrencyFixed
from billing import credit
from billing.gateway_accounts import NoGateway
from catalog.models import Kind
from core import clock, site_settings
from core.client_address import client_ip
from core.money import Money
from orders import coupons, placement
from orders.affiliates import links
from orders.coupons import CouponRefused, FindCoupon
from orders.limits import TooManyUnpaidOrders
from orders.models import Order
from orders.placement import OrderRequest
from orders.prepayment import PrepaymentNeeded, prepayment
from orders.quote import CouponUse, PricedItem
from orders.storefront.offers import Offer
from orders.storefront.payment_form import PaymentForm

SHOWN_TOTAL = re.compile(r"[0-9]{1,15}")
WRONG_CODES = "20/10m/ip"


def payment_choices(request: HttpRequest, currency: str) -> dict[str, Any]:
    """What a form of payment depends on beside what was chosen: currency, the reader's credit, and their coupons."""
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    find_coupon: FindCoupon = partial(find_limited, request, organization)
    balance: Money | None = credit.balance_of(organization.pk, currency) if organization else None
    return {"currency": currency, "find_coupon": find_coupon, "balance": balance}


def ssh_keys_for(request: HttpRequest, *offers: Offer) -> list[SshKey]:
    """The reader's SSH keys, where anything that is offered is a machine."""
    is_asked = request.user.is_authenticated and any(offer.product.kind == Kind.VPS for offer in offers)
    return list(SshKey.objects.filter(user_id=cast("User", request.user).pk)) if is_asked else []


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
        user = request.user if isinstance(request.user, User) else None
        return coupons.find_coupon(
            code=code, items=items, organization=organization, user=user, form_token=form_token, at=clock.now()
        )
    except coupons.UnknownCode:
        limit(limit_get=True)
        raise


def quote_context(request: HttpRequest, form: PaymentForm) -> dict[str, Any]:
    """What the present choices cost with tax, and what of it credit pays, for the template."""
    quote, needed, organization = form.quote(), None, request.organization  # type: ignore[attr-defined]
    if quote is not None:
        at = clock.now()
        quote, needed = quote.with_tax(organization, at), prepayment(quote.servers, organization, at=at)
    used = form.credit_for(quote) if quote else None
    missing = None  # in the wallet of who is signed in, beside what of it pays the order
    if needed is not None and form.balance is not None:
        missing = needed + (used or Money.zero(needed.currency)) - form.balance
    return {
        "form": form,
        "quote": quote,
        "is_auto_renewed": form.is_checked("is_auto_renewed"),
        "credit": used,
        "left_to_pay": quote.due_today - used if quote and used else None,
        "is_credit_wanted": form.is_checked("uses_credit"),
        "prepayment": needed,
        "prepaid_hours": site_settings.get("billing.prepaid_hours"),
        "missing_prepayment": missing if missing and missing.minor > 0 else None,
    }


def refuse_unseen_total(request: HttpRequest, form: PaymentForm) -> bool:
    """Whether more is due than the page said, because the tax has changed meanwhile; the form then says so."""
    quote, shown = form.quote(), request.POST.get("shown_total", "")
    if quote is None or not SHOWN_TOTAL.fullmatch(shown):
        return False
    due_today = quote.with_tax(request.organization, clock.now()).due_today  # type: ignore[attr-defined]
    is_higher = quote.due_today.minor <= int(shown) < due_today.minor
    if is_higher:
        form.add_error(None, _("The total has changed with your tax. Check the summary, then continue to order."))
    return is_higher


def place_order(
    request: HttpRequest, form: PaymentForm, *, order_request: OrderRequest, form_token: UUID
) -> Order | None:
    """The order that the form asks for; None where it cannot be placed, which the form then says.

    Raises placement.ItemOutOfStock or catalog.SoldOut, which are about one server of it.
    """
    try:
        return placement.place_order(
            organization=request.organization,  # type: ignore[attr-defined]
            user=request.user,  # type: ignore[arg-type]
            order_request=replace(order_request, affiliate_code=request.COOKIES.get(links.COOKIE, "")),
            form_token=form_token,
            ip=client_ip(request),
            at=clock.now(),
        )
    except CurrencyFixed as error:
        text = _("Your account pays in %(currency)s since its first order.") % {"currency": error.currency}
        form.add_error(None, text)
    except CouponRefused as error:
        form.add_error("coupon", str(error))
    except PrepaymentNeeded as error:
        text = _("Your wallet must hold %(amount)s before you order. Add money to it, then order again.")
        form.add_error(None, text % {"amount": error.amount})
    except NoGateway:
        form.add_error(None, _("We cannot take payments in this currency at the moment. Please try again later."))
    except TooManyUnpaidOrders as error:
        form.add_error(None, str(error))
    return None
