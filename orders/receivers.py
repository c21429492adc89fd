"""What orders do when invoices are paid, money goes back, or servers run: inside the transaction that caused it.

Signals carry ids. A receiver reads the rows of a whole batch at once.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, Max
from django.dispatch import receiver

from billing import events as billing_events
from billing import metering, refunds, subscriptions
from billing.models import InvoiceState, Subscription, SubscriptionStatus
from billing.runs import meter
from catalog.models import Term
from orders import cancellation, events, fulfilment, holds, paying, queries, transitions
from orders.changes import applying
from orders.funding import funded
from orders.models import Order, OrderStatus, PlanChange
from servers import events as server_events
from servers import services as servers

# An order whose dispute was won is not refunded before this has passed: it is tried again first.
TIME_TO_RETRY = timedelta(minutes=10)


@receiver(billing_events.invoices_paid)
def deliver_paid(invoice_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """Paid invoices start their orders and apply their plan changes.

    Where there are changes, every server of the invoices is locked first: the first change takes stock and capacity.
    """
    has_changes = PlanChange.objects.filter(invoice__among=invoice_ids).exists()
    if has_changes:
        servers.lock_servers(holds.servers_of(Subscription.objects.filter(invoice_items__invoice__in=invoice_ids)))
    order_ids = list(Order.objects.filter(invoice__among=invoice_ids).values_list("pk", flat=True))
    if order_ids:
        fulfilment.start_orders(order_ids=order_ids, at=at)
    if has_changes:
        applying.apply_paid(invoice_ids=invoice_ids, at=at)


@receiver(server_events.servers_resized)
def finish_plan_changes(server_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """The provider's confirmation of the new size ends a change."""
    applying.mark_done(server_ids=server_ids, at=at)


@receiver(billing_events.payments_credited)
def refund_late_payments(payment_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """Money for an order that its customer canceled goes back, also where the credit is spent that it counted on.

    Of any other order it stays credit, and the customer is told.
    """
    orders = Order.objects.filter(invoice__payments__in=payment_ids).order_by("pk")
    for order in transitions.lock_orders(set(orders.exclude(canceled_by=None).values_list("pk", flat=True))):
        cancellation.refund_late_payment(order, at)
    if credited := list(orders.filter(canceled_by=None).values_list("pk", flat=True)):
        events.orders_credited.send(Order, order_ids=credited, at=at)


@receiver(billing_events.payments_expired)
def cancel_expired_orders(payment_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """Checkout sessions expired unpaid: their orders are canceled."""
    orders = Order.objects.filter(invoice__payments__in=payment_ids, status=OrderStatus.PENDING_PAYMENT)
    for order in transitions.lock_orders(set(orders.values_list("pk", flat=True))):
        cancellation.cancel_unpaid(order=order, reason="not paid in time", at=at)


@receiver(billing_events.payments_extended)
def extend_reservations(payment_ids: Collection[UUID], **_: Any) -> None:
    """What a payment page that stays open longer is for stays reserved as long."""
    orders = Order.objects.filter(invoice__payments__in=payment_ids, status=OrderStatus.PENDING_PAYMENT)
    for order in transitions.lock_orders(set(orders.values_list("pk", flat=True))):
        until = order.invoice.payments.filter(pk__in=payment_ids).aggregate(until=Max("expires_at"))["until"]
        paying.extend_reservations(order, until=until)


@receiver(server_events.servers_running)
def activate_orders(server_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """The panel's confirmation makes the orders active."""
    fulfilment.activate_orders(server_ids=server_ids, at=at)
    hourly = Subscription.objects.filter(order_item__server__in=server_ids, term=Term.HOURLY)
    metering.start_metering(subscription_ids=list(hourly.values_list("pk", flat=True)), at=at)


@receiver(server_events.servers_failed)
def fail_orders(server_ids: Collection[UUID], reason: str, at: datetime, **_: Any) -> None:
    """Servers that could not be created fail their orders."""
    fulfilment.fail_orders(server_ids=server_ids, reason=reason, at=at)


@receiver(server_events.servers_failed)
def pause_metering(server_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """The hours of a server that its provider no longer has are not charged. One that failed and is there may run."""
    gone = Subscription.objects.filter(order_item__server__in=server_ids, order_item__server__vanished_at__isnull=False)
    if hourly := list(gone.filter(term=Term.HOURLY).values_list("pk", flat=True)):
        meter.pause(subscription_ids=hourly, at=at)


@receiver(server_events.servers_deleted)
def end_deleted(server_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """What staff delete is no longer sold: its subscription ends. What was not delivered is refunded with its order."""
    delivered = Subscription.objects.filter(
        order_item__server__in=server_ids,
        order_item__order__status=OrderStatus.ACTIVE,
        status__in=subscriptions.GOING_ON,
    )
    sold = list(delivered.order_by("pk"))
    meter.charge_rest(subscription_ids=[row.pk for row in sold if row.term == Term.HOURLY], at=at)
    for row in sold:
        subscriptions.end_subscription(subscription=row, reason="server deleted", at=at)


@receiver(server_events.servers_renamed)
def relabel_subscriptions(server_ids: Collection[UUID], name: str, **_: Any) -> None:
    """Later invoices name the server as it is called now."""
    Subscription.objects.filter(order_item__server__in=server_ids).update(label=name)


@receiver(billing_events.funds_withdrawn)
def cancel_unfunded_orders(invoice_ids: Collection[UUID], reason: str, at: datetime, **_: Any) -> None:
    """An order whose money was refunded, or lost in a dispute, before its server runs: nothing is created for it.

    Before servers are suspended, which requests work: what an order releases is locked before that.
    """
    orders = Order.objects.filter(invoice__in=invoice_ids).order_by("pk").values_list("pk", flat=True)
    refunded = orders.filter(invoice__state=InvoiceState.REFUNDED, status__in=queries.UNDELIVERED)
    for order_id in refunded:
        cancellation.cancel_refunded(order_id=order_id, reason=reason, at=at)
    lost = orders.filter(Exists(queries.disputes_of_order().filter(is_won=False)))
    for order_id in lost:  # of a dispute over a part, the rest is refunded
        cancellation.cancel_paid(order_id=order_id, reason=reason, actor=None, at=at)


@receiver(billing_events.funds_withdrawn)
def suspend_unpaid(invoice_ids: Collection[UUID], reason: str, at: datetime, **_: Any) -> None:
    """A server whose money a bank took, or a full refund returned, is suspended until it is back or staff decide.

    What is taken back of another period leaves it running: the one that runs now is paid. So is one that was
    transferred meanwhile, until a period begins that its new organization has paid.
    """
    invoiced = Subscription.objects.filter(invoice_items__invoice__in=invoice_ids)
    holds.place(invoiced.exclude(pk__in=funded(invoiced, at).values("pk")), reason, at)
    transfers = holds.transfers_of(invoice_ids)
    is_open = reason == events.DISPUTED
    holds.place_received(transfers, events.PERIOD_DISPUTED if is_open else events.PERIOD_WITHDRAWN, at)
    holds.lift(invoiced, at)  # of a dispute that was lost and took only credit
    holds.lift(holds.received_by(transfers), at)


@receiver(billing_events.funds_reinstated)
def resume_paid(invoice_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """A dispute that was won, or a refund that failed, lifts the hold it placed."""
    holds.lift(Subscription.objects.filter(invoice_items__invoice__in=invoice_ids), at)
    holds.lift(holds.received_by(holds.transfers_of(invoice_ids)), at)


@receiver(billing_events.funds_reinstated)
def retry_waiting_orders(invoice_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """Orders that waited for their dispute are tried at once, before the time that has passed refunds them."""
    waiting = Order.objects.filter(invoice__in=invoice_ids, status=OrderStatus.WAITING_CAPACITY)
    orders = transitions.lock_orders(list(waiting.values_list("pk", flat=True)))
    for order in orders:
        order.refund_due_at = max(filter(None, (order.refund_due_at, at + TIME_TO_RETRY)))
        order.save(update_fields=["refund_due_at"])
    fulfilment.retry_after_commit([order.pk for order in orders], at=at)


@receiver(billing_events.funds_reinstated)
def credit_canceled_orders(invoice_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """Money that comes back for an order that was canceled goes to the wallet: there is no server to deliver."""
    orders = Order.objects.filter(invoice__in=invoice_ids, status=OrderStatus.CANCELED)
    for order in transitions.lock_orders(list(orders.values_list("pk", flat=True))):
        if order.status == OrderStatus.CANCELED:
            refunds.credit_invoice(invoice=order.invoice, at=at)


@receiver(billing_events.subscriptions_ended)
def suspend_ended(subscription_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """A subscription that ended no longer pays for its server."""
    holds.place(Subscription.objects.filter(pk__in=subscription_ids), "subscription ended", at)


@receiver(billing_events.subscriptions_suspended)
def suspend_unpaid_time(subscription_ids: Collection[UUID], reason: str, at: datetime, **_: Any) -> None:
    """A time that is not paid suspends its server, until it is paid."""
    holds.place(Subscription.objects.filter(pk__in=subscription_ids), reason, at)


@receiver(billing_events.subscriptions_paused)
def suspend_paused(subscription_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """Nobody pays for the time of a pause. What is paid after it lifts the hold, as any other of billing's."""
    holds.place(Subscription.objects.filter(pk__in=subscription_ids), "paused by its customer", at)


@receiver(billing_events.subscriptions_expired)
def delete_expired(subscription_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """What has been over for long enough is deleted with its server's data."""
    expired = Subscription.objects.filter(pk__in=subscription_ids, status=SubscriptionStatus.ENDED)
    servers.delete_servers(server_ids=holds.servers_of(expired), actor=None, at=at)


@receiver(billing_events.subscriptions_recovered)
def resume_recovered(subscription_ids: Collection[UUID], at: datetime, **_: Any) -> None:
    """A payment lifts billing's hold, and no other."""
    holds.lift(Subscription.objects.filter(pk__among=subscription_ids), at)
