"""Reads of orders, under row-level security."""

from django.db import models

from orders.models import Order, OrderItem, OrderStatus

UNDER_WAY = [
    OrderStatus.PENDING_PAYMENT,
    OrderStatus.PAID,
    OrderStatus.PROVISIONING,
    OrderStatus.WAITING_CAPACITY,
    OrderStatus.FAILED,
]


def order_for_page(queryset: "models.QuerySet[Order] | None" = None) -> "models.QuerySet[Order]":
    """Orders with all that their page shows: item, plan, place, server, history and journal."""
    items = OrderItem.objects.select_related("plan_price__plan__product", "location", "server__node", "subscription")
    rows = queryset if queryset is not None else Order.objects.all()
    return (
        rows.select_related("invoice", "organization")
        .prefetch_related(
            models.Prefetch("items", queryset=items.prefetch_related("server__steps")), "changes", "invoice__payments"
        )
        .fetch_mode(models.FETCH_RAISE)
    )


def orders_under_way(organization: object) -> "models.QuerySet[Order]":
    """The organization's orders that are not finished, newest first, with the server's name as `server_name`."""
    first = OrderItem.objects.filter(order=models.OuterRef("pk")).values("server_name")[:1]
    return (
        Order.objects.filter(organization=organization, status__in=UNDER_WAY)  # type: ignore[misc]
        .annotate(server_name=models.Subquery(first))
        .fetch_mode(models.FETCH_RAISE)
    )
