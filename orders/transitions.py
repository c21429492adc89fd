"""Orders' changes of status, with their history, audit entry and signal."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import User
from billing import invoicing
from billing.models import Invoice
from core import audit
from orders import events
from orders.models import Order, OrderStatus, OrderStatusChange


def lock_orders(order_ids: Collection[UUID]) -> list[Order]:
    """The orders under their locks, with their invoices locked first: billing locks them in that order too."""
    invoice_ids = Order.objects.filter(pk__in=order_ids).values_list("invoice_id", flat=True)
    invoicing.lock_invoices(list(invoice_ids))
    rows = Order.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=order_ids)
    return list(rows.select_related("organization", "placed_by", "invoice").order_by("pk"))


def lock_order(order_id: UUID) -> Order:
    """One order under its lock, with its invoice locked first."""
    return lock_orders([order_id])[0]


def transition(
    orders: Sequence[Order], status: OrderStatus, *, reason: str = "", actor: Any = None, at: datetime, **fields: Any
) -> None:
    """Change the status of locked orders, and `fields` with it. Raises IllegalTransition."""
    if not orders:
        return
    old = {order.pk: order.status for order in orders}
    for order in orders:
        order.transition_to(status)
        for name, value in fields.items():
            setattr(order, name, value)
    Order.objects.filter(pk__in=old).update(status=status, **fields)
    record_changes(orders, old=old, reason=reason, actor=actor, at=at)
    events.orders_status_changed.send(Order, order_ids=list(old), status=status, reason=reason, at=at)


def write_delivered(*, invoice: Invoice, placed_by: User, at: datetime) -> Order:
    """An order over nothing of a server that runs already; the caller adds its item, and then its history."""
    order = Order.objects.create(
        organization_id=invoice.organization_id,
        placed_by=placed_by,
        currency=invoice.currency,
        total_minor=0,
        invoice=invoice,
        status=OrderStatus.ACTIVE,
        **dict.fromkeys(("placed_at", "expires_at", "paid_at", "active_at"), at),
    )
    order.refresh_from_db(fields=["number"])
    return order


def record_changes(
    orders: Sequence[Order], *, old: Mapping[UUID, str], reason: str = "", actor: Any = None, at: datetime
) -> None:
    """Add the orders' present status to their history; what a user did goes into the audit trail too."""
    OrderStatusChange.objects.bulk_create(
        OrderStatusChange(
            order=order,
            organization_id=order.organization_id,
            old=old[order.pk],
            new=order.status,
            reason=reason[:255],
            actor=actor,
            at=at,
        )
        for order in orders
    )
    if actor is not None:
        status = orders[0].status
        before = {"status": ", ".join(sorted(set(old.values())))}
        audit.record_batch(
            action=f"order.{status}", entities=orders, actor=actor, old=before, new={"status": status}, at=at
        )
