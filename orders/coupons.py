"""Coupons: found by their code, redeemed when the order is placed, and given back when it is canceled."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Organization, User
from catalog.models import Coupon, Term
from core import formats, tenancy
from core.money import total
from orders.models import CouponRedemption, Order
from orders.quote import CouponUse, PricedItem, is_covered, quotes

CODE = re.compile(r"[A-Za-z0-9_-]+")
type FindCoupon = Callable[[str, Sequence[PricedItem], UUID | None], CouponUse]


class CouponRefused(Exception):
    """The coupon cannot be used; the text says why, for the customer."""


class UnknownCode(CouponRefused):
    """No coupon has this code."""


def find_coupon(
    *,
    code: str,
    items: Sequence[PricedItem],
    organization: Organization | None,
    user: User | None = None,
    form_token: UUID | None = None,
    at: datetime,
) -> CouponUse:
    """The coupon with this code, checked for what is to be ordered; a visitor has no organization and is no user.

    An unpaid order of the same form does not count: it is canceled when the form orders something else.
    Raises CouponRefused, of which UnknownCode is one.
    """
    with tenancy.as_worker_without_row():
        # PostgreSQL takes no text with a NUL, which can be in an address.
        coupon = Coupon.objects.filter(code__iexact=code).first() if CODE.fullmatch(code) else None
        if coupon is None or not coupon.is_active:
            raise UnknownCode(_("We do not know this code. Check how it is written."))
        return checked_use(coupon, items, organization, user, at, form_token=form_token)


def checked_use(
    coupon: Coupon,
    items: Sequence[PricedItem],
    organization: Organization | None,
    user: User | None,
    at: datetime,
    *,
    form_token: UUID | None = None,
) -> CouponUse:
    """See `find_coupon`; a customer's own database login cannot read coupons."""
    use = CouponUse(coupon, frozenset(coupon.plans.values_list("pk", flat=True)))
    customers = {*coupon.organizations.values_list("pk", flat=True), *coupon.users.values_list("pk", flat=True)}
    if customers and organization is None:
        raise CouponRefused(_("Log in to use this coupon."))
    if customers and customers.isdisjoint(row.pk for row in (organization, user) if row is not None):
        raise CouponRefused(_("This coupon is for another customer."))
    reason = refusal_reason(use, items, at) or used_up_reason(use, items, organization, user, form_token)
    if reason:
        raise CouponRefused(reason)
    return use


def refusal_reason(use: CouponUse, items: Sequence[PricedItem], at: datetime) -> str:
    """Why the coupon is not for these items at this time; empty when it is."""
    coupon, currency = use.coupon, items[0].plan_price.currency
    if coupon.starts_at is not None and at < coupon.starts_at:
        return _("This coupon is valid from %(start)s.") % {"start": formats.instant(coupon.starts_at)}
    if not coupon.is_open(at):
        return _("This coupon has expired.")
    if coupon.currency and coupon.currency != currency:
        return _("This coupon is for orders in %(currency)s only.") % {"currency": coupon.currency}
    if not any(is_covered(use, item) for item in items):
        if all(item.plan_price.term == Term.HOURLY for item in items):
            return _("This coupon is not for servers that are billed by the hour.")
        return _("This coupon is not for the plan that you chose.")
    order_total = total((quote.due_today for quote in quotes(items)), currency)
    if coupon.minimum is not None and order_total < coupon.minimum:
        return _("This coupon is for orders of at least %(minimum)s.") % {"minimum": coupon.minimum}
    return ""


def used_up_reason(
    use: CouponUse,
    items: Sequence[PricedItem],
    organization: Organization | None,
    user: User | None,
    form_token: UUID | None,
) -> str:
    """Why nobody, or this customer, can use the coupon another time; empty when they can.

    The uses of one user count in all of their organizations, and those of one organization by whomever. What makes
    servers free is used once for each of them, or one use would be any number of servers. Any other coupon is used
    once for an order.
    """
    coupon = use.coupon
    counted = CouponRedemption.objects.filter(coupon=coupon, given_back_at=None)
    if organization is not None and form_token is not None:
        counted = counted.exclude(organization=organization, order__form_token=form_token)
    wanted, unit = 1, "pk"
    if coupon.percent == 100 and coupon.cap_minor is None:
        wanted, unit = sum(is_covered(use, item) for item in items), "order__items"
        of_plans = Q(order__items__plan_price__plan__in=use.plan_ids) if use.plan_ids else Q()
        by_period = [term for term in Term if term != Term.HOURLY]
        counted = counted.filter(of_plans, order__items__subscription__term__in=by_period)
    used = counted.aggregate(
        in_all=Count(unit, distinct=True),
        by_organization=Count(unit, filter=Q(organization=organization), distinct=True),
        by_user=Count(unit, filter=Q(order__placed_by=user), distinct=True),
    )
    left = []
    if coupon.max_redemptions is not None:
        left.append(coupon.max_redemptions - used["in_all"])
        if left[0] <= 0:
            return _("This coupon has been used up.")
    if coupon.max_per_customer is not None:
        of_customer = max(used["by_organization"], used["by_user"]) if organization is not None else 0
        left.append(coupon.max_per_customer - of_customer)
        if left[-1] <= 0:
            return _("You have used this coupon already. An unpaid order counts too, until it is canceled.")
    if left and wanted > min(left):
        return ngettext(
            "This coupon is for %(count)s more server, and your order has more. Order the others without it.",
            "This coupon is for %(count)s more servers, and your order has more. Order the others without it.",
            min(left),
        ) % {"count": min(left)}
    return ""


def redeem(*, order: Order, coupon_use: CouponUse, items: Sequence[PricedItem], at: datetime) -> None:
    """Use the order's coupon, in the transaction that places it. Raises CouponRefused.

    Two orders that want the last use are here one after the other: the coupon is locked until the first has committed.
    """
    coupon = Coupon.objects.select_for_update(no_key=True).get(pk=coupon_use.coupon.pk)
    use = checked_use(coupon, items, order.organization, order.placed_by, at)
    if use != coupon_use or coupon.updated_at != coupon_use.coupon.updated_at:
        raise CouponRefused(_("This coupon has just changed. Check the summary, then continue."))
    CouponRedemption.objects.create(coupon=coupon, organization_id=order.organization_id, order=order, redeemed_at=at)


def give_back(*, order: Order, at: datetime) -> None:
    """The canceled order's coupon can be used again. Calling it twice is harmless."""
    CouponRedemption.objects.filter(order=order, given_back_at=None).update(given_back_at=at)


def take_again(orders: Sequence[Order]) -> None:
    """Late money revives these orders at the price that they were placed at: their coupons are used again."""
    if orders:
        CouponRedemption.objects.filter(order__in=orders).update(given_back_at=None)
