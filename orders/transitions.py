"""An order's change of status, with its history, audit entry and signal."""

from datetime import datetime
from typing import Any
from uuid import UUID

from billing import invoicing
from core import audit
from orders import events
from orders.models import Order, OrderStatus, OrderStatusChange


def lock_order(order_id: UUID) -> Order:
    """The order under its lock, with its invoice locked first: billing locks them in that order when money arrives."""
    invoicing.lock_invoice(Order.objects.values_list("invoice_id", flat=True).get(pk=order_id))
    rows = Order.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("organization", "placed_by", "invoice").get(pk=order_id)


def transition(
    order: Order, status: OrderStatus, *, reason: str = "", actor: Any = None, at: datetime, **fields: Any
) -> None:
    """Change a locked order's status, and `fields` with it. Raises IllegalTransition."""
    old = order.status
    order.transition_to(status)
    for name, value in fields.items():
        setattr(order, name, value)
    order.save(update_fields=["status", *fields])
    record_change(order, old=old, reason=reason, actor=actor, at=at)
    events.order_status_changed.send(Order, order=order, reason=reason, at=at)


def record_change(order: Order, *, old: str, reason: str = "", actor: Any = None, at: datetime) -> None:
    """Add the order's present status to its history; what a user did goes into the audit trail too."""
    OrderStatusChange.objects.create(
        order=order,
        organization_id=order.organization_id,
        old=old,
        new=order.status,
        reason=reason[:255],
        actor=actor,
        at=at,
    )
    if actor is not None:
        audit.record(
            action=f"order.{order.status}", entity=order, actor=actor, old={"status": old}, new={"status": order.status}
        )
