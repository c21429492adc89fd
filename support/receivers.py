"""The signals that customers get an e-mail about. A new e-mail is a receiver here and its template."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from billing import events as billing_events
from billing.events import StopReason
from billing.models import Refund, Subscription
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

RENEWAL_SUBJECTS = {
    StopReason.REFUNDED: _("Your subscription is not renewed any more"),
    StopReason.DISPUTE_LOST: _("Your subscription is not renewed any more"),
    StopReason.DUPLICATE: _("You paid twice: we ended the second subscription"),
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


@receiver(billing_events.refunds_failed)
def notify_of_failed_refund(refund_ids: Collection[UUID], at: datetime, **_kwargs: Any) -> None:
    """Tell the owner that a refund they wait for does not arrive."""
    rows = Refund.objects.filter(pk__in=refund_ids).select_related("organization__owner").order_by("pk")
    subject, path = _("Your refund did not arrive"), reverse("billing:invoices")
    notify_customers(
        (Notification(row=row, recipient=row.organization.owner, subject=subject, path=path) for row in rows),
        event="refund.failed",
        at=at,
    )


@receiver(billing_events.renewals_stopped)
def notify_of_stopped_renewal(
    subscription_ids: Collection[UUID], reason: StopReason, at: datetime, **_kwargs: Any
) -> None:
    """Tell the owner that the gateway was stopped from charging, which they have not asked for."""
    rows = Subscription.objects.filter(pk__in=subscription_ids).select_related("organization__owner").order_by("pk")
    notify_customers(
        (
            Notification(
                row=row,
                recipient=row.organization.owner,
                subject=RENEWAL_SUBJECTS[reason],
                path=reverse("billing:invoices"),
            )
            for row in rows
        ),
        event=f"renewal.{reason}",
        at=at,
    )
