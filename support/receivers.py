"""Which news become letters."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from orders import events
from orders.models import Order
from support.notices import tell_about_order


@receiver(events.order_paid)
def tell_paid(order: Order, at: datetime, **_: Any) -> None:
    """The payment has arrived."""
    tell_about_order(order=order, fact="paid", at=at)


@receiver(events.order_active)
def tell_active(order: Order, at: datetime, **_: Any) -> None:
    """The server runs."""
    tell_about_order(order=order, fact="active", at=at, items=list(order.items.select_related("server")))


@receiver(events.order_waiting)
def tell_waiting(order: Order, at: datetime, **_: Any) -> None:
    """Paid, but every machine is full."""
    tell_about_order(order=order, fact="waiting", at=at)


@receiver(events.order_failed)
def tell_failed(order: Order, at: datetime, **_: Any) -> None:
    """The server could not be made."""
    tell_about_order(order=order, fact="failed", at=at)


@receiver(events.order_canceled)
def tell_canceled(order: Order, at: datetime, **_: Any) -> None:
    """A paid order was canceled and its money goes back; nobody writes about a cart that was left."""
    if order.paid_at is not None:
        tell_about_order(order=order, fact="canceled", at=at)
