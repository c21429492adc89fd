"""Placing an order, paying for it, and letting go of it: each write of the customer's side."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.db import connection

from accounts.models import Organization, User
from billing import invoicing, payments, subscriptions
from billing.invoicing import InvoiceLine
from billing.models import BillingMode, Gateway, Invoice, ItemKind, Payment, PaymentState, Subscription
from catalog import services as catalog
from catalog.models import AddonPrice, PlanPrice
from core import site_settings, tenancy
from orders import fulfilment, statuses
from orders.models import Order, OrderItem, OrderItemAddon, OrderStatus
from orders.quote import Quote, quote
from orders.sizes import limits_of
from servers import capacity
from servers.models import Blueprint, Location, Reservation

# The room outlives the offer to pay by this much, so that a payment in the last second still finds it.
GRACE = timedelta(minutes=15)


@dataclass(frozen=True)
class OrderRequest:
    """What the customer chose: rows that the form has already checked to be for sale together."""

    plan_price: PlanPrice
    location: Location
    blueprint: Blueprint
    server_name: str
    addon_prices: Sequence[AddonPrice] = ()
    variables: dict[str, str] = field(default_factory=dict)


def place_order(
    *, organization: Organization, user: User, choice: OrderRequest, form_token: UUID, at: datetime
) -> Order:
    """Hold the room and write down order, invoice draft, subscription and payment, all or nothing.

    The same form token gives the same order, however often and from how many tabs it comes.
    Raises capacity.InsufficientCapacity or catalog.SoldOut, and then nothing was taken.
    """
    with tenancy.as_worker():
        _one_at_a_time(organization, form_token)
        earlier = Order.objects.filter(organization=organization, form_token=form_token).first()
        return earlier or _place(organization, user, choice, form_token, at)


def _one_at_a_time(organization: Organization, form_token: UUID) -> None:
    """A doubled submit waits here for the first, and then finds its order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{organization.pk}:{form_token}"])


def _place(organization: Organization, user: User, choice: OrderRequest, form_token: UUID, at: datetime) -> Order:
    total = quote(plan_price=choice.plan_price, addon_prices=choice.addon_prices)
    expires_at = at + timedelta(minutes=site_settings.get("orders.hold_minutes"))
    subscription = subscriptions.open_subscription(
        organization=organization,
        plan_price=choice.plan_price,
        addon_prices=choice.addon_prices,
        billing_mode=BillingMode.GATEWAY if _is_collected_by_stripe(choice) else BillingMode.SELF,
        at=at,
    )
    invoice = invoicing.draft_invoice(
        organization=organization, currency=total.currency, lines=_invoice_lines(total, subscription), at=at
    )
    order = Order.objects.create(
        organization=organization,
        placed_by=user,
        form_token=form_token,
        currency=total.currency,
        total_minor=total.due_today.minor,
        invoice=invoice,
        placed_at=at,
        expires_at=expires_at,
    )
    order.refresh_from_db(fields=["number"])
    _add_item(order, choice, subscription, at)
    statuses.note_status(order, old="", actor=user, at=at)
    if total.due_today:
        _open_payment(order, invoice, at)
    else:
        invoicing.pay_free_invoice(invoice=invoice, at=at)
    return order


def _is_collected_by_stripe(choice: OrderRequest) -> bool:
    """Stripe can only collect what it has a price for, and only when the operator chose so."""
    prices = [choice.plan_price, *choice.addon_prices]
    return bool(site_settings.get("billing.gateway_renews")) and all(price.stripe_price_id for price in prices)


def _invoice_lines(total: Quote, subscription: Subscription) -> list[InvoiceLine]:
    items = {item.plan_price_id or item.addon_price_id: item for item in subscription.items.all()}
    return [
        InvoiceLine(
            kind=line.kind,
            description=line.label,
            quantity=line.quantity,
            unit=line.unit,
            subscription=subscription,
            subscription_item=items[line.price.pk] if line.price and line.kind != ItemKind.SETUP else None,
        )
        for line in total.lines
    ]


def _add_item(order: Order, choice: OrderRequest, subscription: Subscription, at: datetime) -> None:
    limits = limits_of(choice.plan_price.plan, [price.addon for price in choice.addon_prices])
    is_stock_taken = catalog.take_stock(plan_id=choice.plan_price.plan_id)
    reservation = capacity.reserve(
        organization=order.organization,
        blueprint=choice.blueprint,
        location=choice.location,
        size=limits.size,
        at=at,
        expires_at=order.expires_at + GRACE,
    )
    item = OrderItem.objects.create(
        order=order,
        organization_id=order.organization_id,
        plan_price=choice.plan_price,
        location=choice.location,
        server_name=choice.server_name,
        options={"blueprint": str(choice.blueprint.pk), "variables": choice.variables},
        is_stock_taken=is_stock_taken,
        reservation=reservation,
        subscription=subscription,
    )
    OrderItemAddon.objects.bulk_create(
        OrderItemAddon(item=item, organization_id=order.organization_id, addon_price=price)
        for price in choice.addon_prices
    )


def _open_payment(order: Order, invoice: Invoice, at: datetime) -> Payment:
    item = order.items.select_related("subscription").get()
    by_stripe = item.subscription.billing_mode == BillingMode.GATEWAY
    return payments.open_payment(
        invoice=invoice,
        gateway=Gateway.STRIPE,
        billing_mode=BillingMode.GATEWAY if by_stripe else BillingMode.SELF,
        expires_at=order.expires_at,
        at=at,
    )


def reopen_payment(*, order_id: UUID, at: datetime) -> Payment:
    """The payment a customer can use now: the open one, or a new one after a failure, with the room held on.

    Raises OrderClosed when the order no longer waits for money.
    """
    with tenancy.as_worker():
        order = fulfilment.locked(order_id)
        if order.status != OrderStatus.PENDING_PAYMENT:
            raise OrderClosed(order.status)
        if is_payment_under_review(order):
            raise OrderClosed("a payment is held for staff")
        current = order.invoice.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        order.expires_at = at + timedelta(minutes=site_settings.get("orders.hold_minutes"))
        order.save(update_fields=["expires_at"])
        for item in order.items.filter(reservation__isnull=False).select_related("reservation"):
            capacity.extend(
                reservation_id=cast("Reservation", item.reservation).pk, expires_at=order.expires_at + GRACE
            )
        return _open_payment(order, order.invoice, at)


class OrderClosed(Exception):
    """The order is paid, canceled or under way, or its money is being looked at; there is nothing to pay."""


def is_payment_under_review(order: Order) -> bool:
    """Whether money has come for the order that staff must look at first: it is not paid, and not unpaid either."""
    return any(payment.state == PaymentState.UNDER_REVIEW for payment in order.invoice.payments.all())


def cancel_unpaid(*, order_id: UUID, reason: str, actor: User | None = None, at: datetime) -> bool:
    """Cancel an order that no money has come for, and give back its room; False when it is past that."""
    with tenancy.as_worker():
        order = fulfilment.locked(order_id)
        if order.status != OrderStatus.PENDING_PAYMENT or is_payment_under_review(order):
            return False
        invoicing.void_draft(invoice=order.invoice, at=at)
        fulfilment.let_go(order, at=at)
        statuses.move(order, OrderStatus.CANCELED, reason=reason, actor=actor, at=at)
    return True


def cancel_expired(*, at: datetime) -> int:
    """Cancel unpaid orders past their time; the number canceled.

    The gateway's page closes at the same instant and its payment is polled, so this waits until no payment is open or
    held: an order is never canceled while money may be on its way. A hold whose order vanished gives its own room back.
    """
    over = Order.objects.filter(status=OrderStatus.PENDING_PAYMENT, expires_at__lte=at).exclude(
        invoice__payments__state__in=[*Payment.OPEN, PaymentState.UNDER_REVIEW]
    )
    ids = list(over.values_list("pk", flat=True))
    canceled = sum(cancel_unpaid(order_id=pk, reason="not paid in time", at=at) for pk in ids)
    capacity.expire_due(at=at)
    return canceled
