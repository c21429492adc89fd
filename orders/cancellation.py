"""Canceling an order: what it reserved is released, and what was paid is refunded."""

from datetime import datetime
from uuid import UUID

from django.db.models import Exists

from accounts.models import User
from billing import checkout, invoicing, refunds, subscriptions
from billing.models import InvoiceState, Payment, PaymentState, Subscription
from catalog import services as catalog
from catalog.models import Term
from core import tenancy, work
from orders import coupons, events, queries, transitions
from orders.models import Order, OrderItem, OrderStatus
from orders.waitlist import entries as waitlist
from servers import capacity
from servers import services as servers


def cancel_unpaid(*, order: Order, reason: str, actor: User | None = None, at: datetime) -> bool:
    """Cancel an order that is not paid; False when it is too late for that, also while a bank processes its payment.

    Also False while it can be paid on a page that the gateway cannot close: it expires with that page.

    Money that arrives nevertheless is refunded where a user canceled, and else revives the order.
    """
    with tenancy.as_worker(order):
        order = transitions.lock_order(order.pk)
        is_unpaid = order.status == OrderStatus.PENDING_PAYMENT
        if not is_unpaid or order.is_payment_under_review or order.is_payment_processing:
            return False
        if checkout.is_payable_until_expiry(order.invoice):
            return False
        invoicing.void_draft(invoice=order.invoice, at=at)
        _release(order, at)
        transitions.transition([order], OrderStatus.CANCELED, reason=reason, actor=actor, at=at, canceled_by=actor)
    return True


def refund_late_payment(order: Order, at: datetime) -> None:
    """Refund what was paid for a locked order that a user had canceled before the money arrived.

    Where the credit is spent that was to pay with it, the invoice is not paid: then the money itself goes back.
    """
    reason = "paid after it was canceled"
    if order.invoice.state == InvoiceState.PAID:
        refunds.refund_invoice(invoice=order.invoice, reason=reason, actor=None, at=at)
        _release(order, at)  # the payment began the subscription
    else:
        refunds.refund_unused_payments(invoice=order.invoice, reason=reason, at=at)
    order.paid_at = at
    order.save(update_fields=["paid_at"])
    transitions.record_changes([order], old={order.pk: order.status}, reason=reason, at=at)
    events.orders_status_changed.send(Order, order_ids=[order.pk], status=order.status, reason=reason, at=at)


def cancel_expired(*, at: datetime) -> int:
    """Cancel orders that were not paid in time; the number canceled.

    The gateway's checkout session expires at the same instant and its payment is polled, so this waits until no payment
    is open or under review: an order is never canceled while a payment may be on its way.
    Reservations without an order are released too.
    """
    expired = Order.objects.filter(status=OrderStatus.PENDING_PAYMENT, expires_at__lte=at).exclude(
        invoice__payments__state__in=[*Payment.OPEN, PaymentState.UNDER_REVIEW]
    )
    canceled = work.run_each(
        list(expired),
        lambda order: cancel_unpaid(order=order, reason="not paid in time", at=at),
        name="cancellation",
    )
    capacity.expire_due(at=at)
    return canceled


def cancel_paid(*, order_id: UUID, reason: str, actor: object, at: datetime) -> bool:
    """Cancel a paid order that has no running server, and refund it; False when it is too late for that."""
    with tenancy.as_worker():
        order = transitions.lock_order(order_id)
        if order.status not in {OrderStatus.PAID, OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED}:
            return False
        _refund_and_cancel(order, reason, actor, at)
    return True


def _refund_and_cancel(order: Order, reason: str, actor: object, at: datetime) -> None:
    subscriptions.lock_subscriptions_of([order.invoice_id])
    refunds.refund_invoice(invoice=order.invoice, reason=reason, actor=actor, at=at)
    order.refresh_from_db(fields=["status"])
    if order.status != OrderStatus.CANCELED:  # by the refund: an order paid with credit has its money back at once
        _release(order, at)
        transitions.transition([order], OrderStatus.CANCELED, reason=reason, actor=actor, at=at, refund_due_at=None)


class OthersInOrder(Exception):
    """The server does not run yet, and its order has others: it can be canceled when it runs."""


def cancel_undelivered(*, subscription: Subscription, actor: User, at: datetime) -> bool:
    """Cancel the order of a server by the hour that does not run yet; False where it ran, or is billed otherwise.

    Its hours are charged from when it runs, so ended as any other it would keep its capacity for nothing. Raises
    OthersInOrder.
    """
    sold = OrderItem.objects.filter(subscription=subscription)
    with tenancy.as_worker(subscription):
        order_id = sold.values_list("order_id", flat=True).first()
        if subscription.term != Term.HOURLY or order_id is None:
            return False
        order = transitions.lock_order(order_id)
        if order.status not in queries.UNDELIVERED or sold.filter(server__running_at__isnull=False).exists():
            return False
        if order.items.count() > 1:
            raise OthersInOrder
        order.canceled_by = actor
        order.save(update_fields=["canceled_by"])
        _refund_and_cancel(order, "canceled before it ran", actor, at)
    return True


def cancel_refunded(*, order_id: UUID, reason: str, at: datetime) -> bool:
    """Cancel an order whose invoice was refunded before its server ran; False when it runs."""
    with tenancy.as_worker():
        order = transitions.lock_order(order_id)
        if order.status not in queries.UNDELIVERED:
            return False
        _release(order, at)
        transitions.transition([order], OrderStatus.CANCELED, reason=reason, at=at, refund_due_at=None)
    return True


def refund_overdue(*, at: datetime) -> int:
    """Cancel and refund every paid order whose server did not run in time; the number of orders.

    While a dispute over its payment is open there is nothing to give back: the bank has it.
    """
    due = (
        Order.objects.filter(status__in=[OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED], refund_due_at__lte=at)
        .exclude(Exists(queries.disputes_of_order().filter(closed_at=None)))
        .values_list("pk", flat=True)
    )
    return work.run_each(
        list(due), lambda pk: cancel_paid(order_id=pk, reason="no server in time", actor=None, at=at), name="refund"
    )


def _release(order: Order, at: datetime) -> None:
    """Cancel the subscription of each item, delete its server, return its stock, or release its reservation.

    A coupon that the order used can be used again, and what the waitlist had reserved is its customer's again.

    All is locked first, one kind of row after another, in the lock order of ARCHITECTURE.md.
    """
    items = list(order.items.select_related("subscription", "plan_price").order_by("server", "pk"))
    server_ids = [item.server_id for item in items if item.server_id is not None]
    subscriptions.lock_subscriptions_of([order.invoice_id])
    servers.lock_servers(server_ids)
    unbuilt = {
        item.reservation_id: item for item in items if item.server_id is None and item.reservation_id is not None
    }
    for reservation_id in waitlist.take_back({pk: item.is_stock_taken for pk, item in unbuilt.items()}, at=at):
        item = unbuilt.pop(reservation_id)
        item.reservation, item.is_stock_taken = None, False
        item.save(update_fields=["reservation", "is_stock_taken"])
    coupons.give_back(order=order, at=at)
    for item in sorted(items, key=lambda item: item.plan_price.plan_id):
        if item.is_stock_taken:
            catalog.return_stock(plan_id=item.plan_price.plan_id)
            item.is_stock_taken = False
            item.save(update_fields=["is_stock_taken"])
    capacity.release(reservation_ids=list(unbuilt), at=at)
    for item in items:  # by their servers, whose tasks this requests
        if not subscriptions.cancel_pending(subscription=item.subscription, at=at):
            subscriptions.end_subscription(subscription=item.subscription, reason="order canceled", at=at)
    servers.delete_servers(server_ids=server_ids, actor=None, at=at)
