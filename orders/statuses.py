"""Moving an order from one status to the next, with its history and its news."""

from datetime import datetime
from typing import Any

from django.dispatch import Signal

from core import audit
from orders import events
from orders.models import Order, OrderStatus, OrderStatusChange

NEWS: dict[OrderStatus, Signal] = {
    OrderStatus.PAID: events.order_paid,
    OrderStatus.ACTIVE: events.order_active,
    OrderStatus.WAITING_CAPACITY: events.order_waiting,
    OrderStatus.FAILED: events.order_failed,
    OrderStatus.CANCELED: events.order_canceled,
}


def move(
    order: Order, status: OrderStatus, *, reason: str = "", actor: Any = None, at: datetime, **fields: Any
) -> None:
    """Move a locked order, write its history, and tell. Raises IllegalTransition."""
    old = order.status
    order.transition_to(status)
    for name, value in fields.items():
        setattr(order, name, value)
    order.save(update_fields=["status", *fields])
    note_status(order, old=old, reason=reason, actor=actor, at=at)
    news = NEWS.get(status)
    if news is not None:
        news.send(Order, order=order, reason=reason, at=at)


def note_status(order: Order, *, old: str, reason: str = "", actor: Any = None, at: datetime) -> None:
    """Write a line of the order's history."""
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
