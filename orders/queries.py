"""Reads of orders, under row-level security."""

from django.db import models

from accounts.models import Organization
from accounts.permissions import Access, Action
from billing.models import Dispute, Payment, PaymentAllocation, PaymentState, Refund, RefundState
from orders.models import Order, OrderItem, OrderStatus

# Paid, and the server does not run yet.
UNDELIVERED = (OrderStatus.PAID, OrderStatus.WAITING_CAPACITY, OrderStatus.PROVISIONING, OrderStatus.FAILED)
OPEN = (OrderStatus.PENDING_PAYMENT, *UNDELIVERED)


def orders_for(access: Access, action: Action) -> "models.QuerySet[Order]":
    """The orders to which the user may do the action."""
    return Order.objects.filter(organization__in=access.organizations(action))


def order_for_page(orders: "models.QuerySet[Order]") -> "models.QuerySet[Order]":
    """These orders with all that their page shows: item, plan, region, server with its steps, and payments."""
    items = OrderItem.objects.select_related(
        "plan_price__plan__product", "region", "image", "reservation", "server__node", "subscription"
    )
    return (
        orders.select_related("invoice", "organization")
        .prefetch_related(
            models.Prefetch("items", queryset=items.prefetch_related("server__steps")),
            "changes",
            models.Prefetch("invoice__payments", queryset=Payment.objects.select_related("payment_method")),
        )
        .fetch_mode(models.FETCH_RAISE)
    )


def paid_with(order: Order) -> str:
    """How the payment was made that paid the order, such as "Visa ending 4242"; empty where none did."""
    paid = PaymentAllocation.objects.filter(invoice=order.invoice_id, payment__isnull=False).order_by("at", "pk")
    return paid.values_list("payment__method_label", flat=True).first() or ""


def is_disputed(order: Order) -> bool:
    """Whether a bank disputes what paid the order and has not decided, or decided against us."""
    return Dispute.objects.exclude(is_won=True).filter(payment__allocations__invoice=order.invoice_id).exists()


def has_failed_refund(order: Order) -> bool:
    """Whether a refund of a payment for the order failed, and none returned all of it."""
    failed = Refund.objects.filter(payment__invoice=order.invoice_id, state=RefundState.FAILED)
    return failed.exclude(payment__state=PaymentState.REFUNDED).exists()


def disputes_of_order() -> "models.QuerySet[Dispute]":
    """The disputes, not won, over what paid an order of the outer query."""
    return Dispute.objects.exclude(is_won=True).filter(payment__allocations__invoice=models.OuterRef("invoice"))


def undisputed_orders() -> "models.QuerySet[Order]":
    """Orders that no bank may yet take the money of: only for these a server is created, or a refund made by itself."""
    return Order.objects.filter(~models.Exists(disputes_of_order()))


def orders_of(access: Access, organization: Organization) -> "models.QuerySet[Order]":
    """All orders of the organization that the user may see, newest first, with their first server's `server_name`.

    `more_servers` is how many others an order has. What `orders/pill.html` says before the status:
    `has_processing_payment`: whether a bank is processing the payment, `has_payment_under_review`: whether staff are
    checking one, and `is_held_by_dispute`: whether it is not delivered because a bank disputes the payment.
    """
    items = OrderItem.objects.filter(order=models.OuterRef("pk")).order_by()
    count = items.values("order").annotate(count=models.Count("pk")).values("count")
    payments = Payment.objects.filter(invoice=models.OuterRef("invoice"))
    return (
        orders_for(access, Action.ORDER_VIEW)
        .filter(organization=organization)
        .annotate(
            server_name=models.Subquery(items.order_by("created_at", "pk").values("server_name")[:1]),
            more_servers=models.Subquery(count) - 1,
            has_processing_payment=models.Exists(payments.filter(state=PaymentState.PROCESSING)),
            has_payment_under_review=models.Exists(payments.filter(state=PaymentState.UNDER_REVIEW)),
            is_held_by_dispute=models.Q(status__in=UNDELIVERED) & models.Q(models.Exists(disputes_of_order())),
        )
        .fetch_mode(models.FETCH_RAISE)
        .order_by("-placed_at", "-pk")
    )


def open_orders(access: Access, organization: Organization) -> "models.QuerySet[Order]":
    """Those of `orders_of` that are neither active nor canceled."""
    return orders_of(access, organization).filter(status__in=OPEN)
