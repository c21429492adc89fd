"""The signals that customers are notified about."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from orders import events
from orders.models import Order
from support import notifications


@receiver(events.order_status_changed)
def notify_customer(order: Order, at: datetime, **_: Any) -> None:
    """Orders that were never paid are canceled without an e-mail."""
    if order.paid_at is not None:
        notifications.notify_customer(order=order, event=f"order.{order.status}", at=at)
