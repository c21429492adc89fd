"""The signals that customers get an e-mail about. A new e-mail is a receiver here and its template."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from orders import events
from orders.models import Order, OrderStatus
from support.notifications import Notification, notify_customers

ORDER_SUBJECTS = {
    OrderStatus.PAID: _("Order {number}: we received your payment"),
    OrderStatus.ACTIVE: _("Order {number}: your server is running"),
    OrderStatus.WAITING_CAPACITY: _("Order {number}: waiting for capacity"),
    OrderStatus.FAILED: _("Order {number}: your server is not ready yet"),
    OrderStatus.CANCELED: _("Order {number} is canceled"),
}


@receiver(events.orders_status_changed)
def notify_of_order_status(order_ids: Collection[UUID], status: OrderStatus, at: datetime, **_kwargs: Any) -> None:
    """E-mail the users who ordered. Orders that were never paid are canceled without an e-mail."""
    if status not in ORDER_SUBJECTS:
        return
    paid = Order.objects.filter(pk__in=order_ids, paid_at__isnull=False).select_related("placed_by")
    notify_customers(
        (
            Notification(
                row=order,
                recipient=order.placed_by,
                subject=format_lazy(ORDER_SUBJECTS[status], number=order.number),
                path=reverse("orders:progress", kwargs={"pk": order.pk}),
            )
            for order in paid.prefetch_related("items__server", "invoice__payments").order_by("pk")
        ),
        event=f"order.{OrderStatus(status).value}",
        at=at,
    )
