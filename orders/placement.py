"""Placing an order: capacity is reserved, and order, subscription, draft invoice and payment are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.db import connection

from accounts.models import Organization, User
from billing import invoicing, payments, subscriptions
from billing.invoicing import InvoiceLine
from billing.models import BillingMode, Gateway, Payment, Subscription
from catalog import services as catalog
from catalog.models import AddonPrice, PlanPrice
from core import site_settings, tenancy
from orders import transitions
from orders.models import Order, OrderItem, OrderItemAddon, OrderStatus
from orders.quote import Quote, quote, server_limits
from servers import capacity
from servers.models import Blueprint, Location, Reservation

# Capacity stays reserved this much longer than the order can be paid, for a payment made in the last second.
GRACE = timedelta(minutes=15)


class OrderClosed(Exception):
    """There is nothing to pay: the order is paid or canceled, or its payment is under review."""


@dataclass(frozen=True)
class OrderRequest:
    """What the customer ordered: rows that the form has checked to be for sale together."""

    plan_price: PlanPrice
    location: Location
    blueprint: Blueprint
    server_name: str
    addon_prices: Sequence[AddonPrice] = ()
    variables: dict[str, str] = field(default_factory=dict)


def place_order(
    *, organization: Organization, user: User, order_request: OrderRequest, form_token: UUID, at: datetime
) -> Order:
    """Reserve capacity and write the order, its invoice draft, subscription and payment, all or nothing.

    The same form token gives the same order, however often and from how many tabs it comes.
    Raises capacity.InsufficientCapacity or catalog.SoldOut, and then nothing is reserved.
    """
    with tenancy.as_worker():
        # A doubled submit waits here for the first, and then finds its order.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{organization.pk}:{form_token}"])
        earlier = Order.objects.filter(organization=organization, form_token=form_token).first()
        if earlier is not None:
            return earlier
        order_quote = quote(plan_price=order_request.plan_price, addon_prices=order_request.addon_prices)
        subscription = subscriptions.open_subscription(
            organization=organization,
            plan_price=order_request.plan_price,
            addon_prices=order_request.addon_prices,
            billing_mode=billing_mode_of(order_request),
            at=at,
        )
        currency, lines = order_quote.currency, invoice_lines(order_quote, subscription)
        order = Order.objects.create(
            organization=organization,
            placed_by=user,
            form_token=form_token,
            currency=currency,
            total_minor=order_quote.due_today.minor,
            invoice=invoicing.draft_invoice(organization=organization, currency=currency, lines=lines, at=at),
            placed_at=at,
            expires_at=at + timedelta(minutes=site_settings.get("orders.reservation_minutes")),
        )
        order.refresh_from_db(fields=["number"])
        add_item(order, order_request, subscription, at)
        transitions.record_changes([order], old={order.pk: ""}, actor=user, at=at)
        if order_quote.due_today:
            open_payment(order, at)
        else:
            invoicing.pay_free_invoice(invoice=order.invoice, at=at)
        return order


def billing_mode_of(order_request: OrderRequest) -> BillingMode:
    """Stripe can only renew what it has a price for, and only renews where the operator chose so."""
    prices = [order_request.plan_price, *order_request.addon_prices]
    if site_settings.get("billing.gateway_renews") and all(price.stripe_price_id for price in prices):
        return BillingMode.GATEWAY
    return BillingMode.SELF


def invoice_lines(order_quote: Quote, subscription: Subscription) -> list[InvoiceLine]:
    """The quote's lines, each for its item of the subscription; one-time fees belong to no item."""
    items = {item.plan_price_id or item.addon_price_id: item for item in subscription.items.all()}
    return [
        replace(line, subscription=subscription, subscription_item=items[line.price.pk] if line.price else None)
        for line in order_quote.lines
    ]


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
        options={"blueprint": str(order_request.blueprint.pk), "variables": order_request.variables},
        is_stock_taken=is_stock_taken,
        reservation=reservation,
        subscription=subscription,
    )
    OrderItemAddon.objects.bulk_create(
        OrderItemAddon(item=item, organization_id=order.organization_id, addon_price=price) for price in addon_prices
    )


def open_payment(order: Order, at: datetime) -> Payment:
    """The payment of the order's invoice, to be made until the order expires."""
    subscription = Subscription.objects.get(order_item__order=order)
    return payments.open_payment(
        invoice=order.invoice,
        gateway=Gateway.STRIPE,
        billing_mode=BillingMode(subscription.billing_mode),
        expires_at=order.expires_at,
        at=at,
    )


def reopen_payment(*, order_id: UUID, at: datetime) -> Payment:
    """The payment a customer can make now: the open one, or a new one after a failure. Capacity stays reserved.

    Raises OrderClosed.
    """
    with tenancy.as_worker():
        order = transitions.lock_order(order_id)
        if order.status != OrderStatus.PENDING_PAYMENT:
            raise OrderClosed(order.status)
        if order.is_payment_under_review:
            raise OrderClosed("a payment is under review")
        current = order.invoice.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        order.expires_at = at + timedelta(minutes=site_settings.get("orders.reservation_minutes"))
        order.save(update_fields=["expires_at"])
        for item in order.items.filter(reservation__isnull=False).select_related("reservation"):
            capacity.extend(
                reservation_id=cast("Reservation", item.reservation).pk, expires_at=order.expires_at + GRACE
            )
        return open_payment(order, at)
