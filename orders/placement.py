"""Placing an order: capacity is reserved, and order, subscription, draft invoice and payment are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from accounts.models import Organization, User
from billing import gateway_accounts, invoicing, payments, subscriptions
from billing.models import BillingMode, GatewayAccount, Invoice, Payment, Subscription
from catalog import services as catalog
from catalog.models import AddonPrice, PlanPrice
from core import site_settings, tenancy
from orders import cancellation, limits, transitions
from orders.models import Order, OrderItem, OrderItemAddon, OrderStatus
from orders.quote import quote, server_limits
from servers import capacity
from servers.models import Blueprint, Location, Reservation

# Capacity stays reserved this much longer than the order can be paid, for a payment made in the last second.
GRACE = timedelta(minutes=15)


class OrderClosed(Exception):
    """No payment can be begun: the order is paid or canceled, one is under review, or too many were begun."""


@dataclass(frozen=True)
class OrderRequest:
    """What the customer ordered: rows that the form has checked to be for sale together."""

    plan_price: PlanPrice
    location: Location
    blueprint: Blueprint
    server_name: str
    addon_prices: Sequence[AddonPrice] = ()
    variables: dict[str, str] = field(default_factory=dict)
    is_auto_renewed: bool = False
    uses_credit: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What the order's item stores of it beside its relations."""
        return {"blueprint": str(self.blueprint.pk), "variables": self.variables}

    @property
    def billing_mode(self) -> BillingMode:
        """The gateway renews where customer and operator chose so, and it has a price for everything."""
        if not self.is_auto_renewed:
            return BillingMode.SELF
        return gateway_accounts.billing_mode_for([self.plan_price, *self.addon_prices])

    @property
    def accounts(self) -> Sequence[GatewayAccount]:
        """The gateway accounts by which it can be paid, in their order."""
        return gateway_accounts.accounts_for(currency=self.plan_price.currency, is_auto_renewed=self.is_auto_renewed)


@dataclass(frozen=True)
class PaymentTerms:
    """Who renews what an order is for, and by which gateway accounts it can be paid."""

    billing_mode: BillingMode
    accounts: Sequence[GatewayAccount]


def place_order(
    *,
    organization: Organization,
    user: User,
    order_request: OrderRequest,
    form_token: UUID,
    ip: str | None = None,
    at: datetime,
) -> Order:
    """Reserve capacity and write the order, its invoice draft, subscription and payment, all or nothing.

    The same form token with the same request gives the same order, however often and from how many tabs it comes. With
    another request it gives a new order, and the earlier one is canceled if it is unpaid. Wants no transaction to be
    open. Raises capacity.InsufficientCapacity, catalog.SoldOut, limits.TooManyUnpaidOrders or
    gateway_accounts.NoGateway, and then nothing is reserved.
    """
    # The accounts' keys are decrypted for it, so it is read before anything is locked.
    terms = PaymentTerms(order_request.billing_mode, order_request.accounts)
    while True:
        with tenancy.as_worker(organization):
            # A doubled submit waits here for the first, and then finds its order.
            limits.lock_keys([f"{organization.pk}:{form_token}"])
            earlier = Order.objects.filter(organization=organization, form_token=form_token).first()
            if earlier is None:
                return write_order(organization, user, order_request, terms, form_token, limits.network_of(ip), at)
            if earlier.status != OrderStatus.CANCELED and is_order_of(earlier, order_request):
                return earlier
            # In a transaction of its own: what is released is on another node than what is reserved next.
            reason = "ordered something else instead"
            cancellation.cancel_unpaid(order=earlier, reason=reason, actor=user, at=at)
            Order.objects.filter(pk=earlier.pk).update(form_token=None)


def is_order_of(order: Order, order_request: OrderRequest) -> bool:
    """Whether the order is for exactly this request, at its prices."""
    item = order.items.select_related("subscription").get()
    is_auto_renewed = item.subscription.is_auto_renewed
    ordered = (
        item.plan_price_id,
        item.location_id,
        item.server_name,
        item.options,
        is_auto_renewed,
        order.uses_credit,
    )
    requested = (
        order_request.plan_price.pk,
        order_request.location.pk,
        order_request.server_name,
        order_request.options,
        order_request.is_auto_renewed,
        order_request.uses_credit,
    )
    addons = set(item.addons.values_list("addon_price_id", flat=True))
    return ordered == requested and addons == {price.pk for price in order_request.addon_prices}


def write_order(
    organization: Organization,
    user: User,
    order_request: OrderRequest,
    terms: PaymentTerms,
    form_token: UUID,
    network: str | None,
    at: datetime,
) -> Order:
    """The new order with its subscription, draft invoice, item and payment."""
    order_quote = quote(plan_price=order_request.plan_price, addon_prices=order_request.addon_prices)
    if order_quote.due_today:
        limits.require_unpaid_below_limit(organization=organization, user=user, network=network)
    subscription = subscriptions.open_subscription(
        organization=organization,
        plan_price=order_request.plan_price,
        addon_prices=order_request.addon_prices,
        billing_mode=terms.billing_mode,
        is_auto_renewed=order_request.is_auto_renewed,
        at=at,
    )
    items = {item.plan_price_id or item.addon_price_id: item for item in subscription.items.all()}
    lines = [  # one-time fees belong to no item of the subscription
        replace(line, subscription=subscription, subscription_item=items[line.price.pk] if line.price else None)
        for line in order_quote.lines
    ]
    order = Order.objects.create(
        organization=organization,
        placed_by=user,
        placed_from=network,
        form_token=form_token,
        currency=order_quote.currency,
        total_minor=order_quote.due_today.minor,
        uses_credit=order_request.uses_credit,
        invoice=invoicing.draft_invoice(organization=organization, currency=order_quote.currency, lines=lines, at=at),
        placed_at=at,
        expires_at=at + timedelta(minutes=site_settings.get("orders.reservation_minutes")),
    )
    order.refresh_from_db(fields=["number"])
    add_item(order, order_request, subscription, at)
    transitions.record_changes([order], old={order.pk: ""}, actor=user, at=at)
    if order_quote.due_today:
        open_payment(order, terms.accounts, at)
    else:
        invoicing.pay_from_wallet(invoice=order.invoice, at=at)  # of a free order it takes nothing
    return order


def add_item(order: Order, order_request: OrderRequest, subscription: Subscription, at: datetime) -> None:
    """Take a piece of the plan's stock, reserve capacity, and write the order's item with its add-ons."""
    plan_price, addon_prices = order_request.plan_price, order_request.addon_prices
    is_stock_taken = catalog.take_stock(plan_id=plan_price.plan_id)
    reservation = capacity.reserve(
        organization=order.organization,
        blueprint=order_request.blueprint,
        location=order_request.location,
        size=server_limits(plan_price.plan, [price.addon for price in addon_prices]).size,
        at=at,
        expires_at=order.expires_at + GRACE,
    )
    item = OrderItem.objects.create(
        order=order,
        organization_id=order.organization_id,
        plan_price=plan_price,
        location=order_request.location,
        server_name=order_request.server_name,
        options=order_request.options,
        is_stock_taken=is_stock_taken,
        reservation=reservation,
        subscription=subscription,
    )
    OrderItemAddon.objects.bulk_create(
        OrderItemAddon(item=item, organization_id=order.organization_id, addon_price=price) for price in addon_prices
    )


def open_payment(order: Order, accounts: Sequence[GatewayAccount], at: datetime) -> Payment:
    """The payment of the order's invoice, to be made until the order expires. Raises NoGateway where no account is."""
    if not accounts:
        raise gateway_accounts.NoGateway(f"no active gateway account takes {order.currency}")
    return payments.open_payment(
        invoice=order.invoice,
        gateway=accounts[0].code,
        expires_at=order.expires_at,
        at=at,
    )


def reopen_payment(*, order: Order, at: datetime) -> Payment:
    """The payment a customer can make now: the open one, or a new one after a failure. Capacity stays reserved.

    Raises OrderClosed, or gateway_accounts.NoGateway.
    """
    with tenancy.as_worker(order):
        invoice = Invoice.objects.get(order=order.pk)
    accounts = gateway_accounts.accounts_of(invoice)  # their keys are decrypted: before anything is locked
    with tenancy.as_worker(order):
        order = transitions.lock_order(order.pk)
        if order.status != OrderStatus.PENDING_PAYMENT:
            raise OrderClosed(order.status)
        if order.is_payment_under_review:
            raise OrderClosed("a payment is under review")
        current = order.invoice.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        if not limits.can_renew_hold(order):
            raise OrderClosed("too many payments were begun")
        order.expires_at = at + timedelta(minutes=site_settings.get("orders.reservation_minutes"))
        order.save(update_fields=["expires_at"])
        for item in order.items.filter(reservation__isnull=False).select_related("reservation"):
            capacity.extend(
                reservation_id=cast("Reservation", item.reservation).pk, expires_at=order.expires_at + GRACE
            )
        return open_payment(order, accounts, at)
