"""The signals that customers are notified about."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from orders import events
from orders.models import Order, OrderStatus
from support import notifications


@receiver(events.orders_status_changed)
def notify_customers(order_ids: Collection[UUID], status: OrderStatus, at: datetime, **_: Any) -> None:
    """Orders that were never paid are canceled without an e-mail."""
    paid = Order.objects.filter(pk__in=order_ids, paid_at__isnull=False).select_related("placed_by")
    orders = paid.prefetch_related("items__server").order_by("pk")
    notifications.notify_customers(orders=orders, event=f"order.{OrderStatus(status).value}", at=at)
