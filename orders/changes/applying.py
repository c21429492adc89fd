"""Applying a change: when its invoice is paid, or its period has begun. Then the provider resizes the server."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import F, Q

from billing import item_changes, refunds
from billing.models import Subscription, SubscriptionItem, SubscriptionStatus
from catalog import services as catalog
from catalog.models import Term
from core import audit, tenancy, work
from orders import events
from orders.changes import ending, locking, undelivered
from orders.changes.models import PlanChange, PlanChangeStatus
from orders.funding import funded
from orders.models import OrderItem
from servers import capacity, resizing
from servers import services as servers
from servers.capacity import Size
from servers.models import ReservationState, Server


class NotApplicable(Exception):
    """What the change was quoted for is no longer so; the text says what."""


CANNOT = (NotApplicable, capacity.InsufficientCapacity, resizing.NotResizable)


def apply_paid(*, invoice_ids: Collection[UUID], at: datetime) -> None:
    """Apply the changes whose invoices are paid now, in the payment's transaction, which holds their locks.

    Where one can no longer be applied, also because it was canceled or has expired, its money becomes credit.
    """
    with tenancy.as_worker():
        rows = PlanChange.objects.select_for_update(no_key=True, of=("self",)).filter(invoice__in=invoice_ids)
        for row in rows.select_related("invoice__organization", "subscription", "plan_price__plan").order_by("pk"):
            if row.invoice is None:
                continue
            try:
                with tenancy.as_worker():
                    apply(row, at)
            except CANNOT as error:
                if row.status == PlanChangeStatus.PENDING_PAYMENT:
                    ending.close(row, PlanChangeStatus.FAILED, failure=str(error), at=at)
                refunds.credit_invoice(invoice=row.invoice, at=at)


def apply(row: PlanChange, at: datetime) -> None:
    """The subscription has the new items from the quote's instant on, and the server its new size."""
    if row.status != PlanChangeStatus.PENDING_PAYMENT or row.invoice is None:
        raise NotApplicable(f"the change is {row.status}")
    subscription = row.subscription
    if subscription.status != SubscriptionStatus.ACTIVE:
        raise NotApplicable(f"the subscription is {subscription.status}")
    if not funded(Subscription.objects.filter(pk=subscription.pk), at).exists():
        raise NotApplicable("the present period is no longer paid for")
    ended = SubscriptionItem.objects.filter(pk__in=row.ended_items)
    if {str(each.pk): each.valid_until.isoformat() if each.valid_until else "" for each in ended} != row.ended_items:
        raise NotApplicable("the subscription has other items by now")
    paid_until = max((line.period_end for line in row.invoice.items.all() if line.period_end), default=row.effective_at)
    if item_changes.billed_from(subscription, paid_until):  # a bank took days for the payment
        raise NotApplicable("the next period is billed already, at the old price")
    item_changes.switch_items(
        subscription=subscription,
        ended=row.ended_items,
        begun=row.begun_items,
        term=Term(subscription.term),
        at=row.effective_at,
    )
    subscription.change_pending_until = None
    subscription.save(update_fields=["change_pending_until"])
    deliver(row, at)


def deliver(row: PlanChange, at: datetime) -> None:
    """Ask for the server's new size and move the plan's stock, for a locked change whose items are in force."""
    item = locking.item_to_change(row.item_id)
    if item.server is None:
        raise NotApplicable("there is no server")
    servers.lock_server(item.server.pk)
    blueprint = resizing.blueprint_for_plan(item.server, row.plan_price.plan)
    if blueprint is None:
        raise NotApplicable("no blueprint can build the plan where the server is")
    if row.plan_price.plan_id != row.old_plan_price.plan_id:
        return_old_stock(row, item)
    take_capacity(row, item.server, at)
    limits = row.limits
    new = resizing.NewSize(
        row.plan_price.plan, blueprint, Size(**limits["size"]), limits["databases"], limits["backups"]
    )
    is_resized = resizing.resize_server(server_id=item.server.pk, new=new, actor=row.requested_by, at=at)
    row.transition_to(PlanChangeStatus.APPLYING if is_resized else PlanChangeStatus.DONE)
    row.applied_at = at
    row.save(update_fields=["status", "applied_at"])
    if not is_resized:
        events.plan_changes_moved.send(PlanChange, change_ids=[row.pk], status=PlanChangeStatus.DONE, at=at)
    audit.record(action="plan_change.apply", entity=row, new={"plan": row.plan_price.plan.code}, at=at)


def take_capacity(row: PlanChange, server: Server, at: datetime) -> None:
    """What was reserved for the change is the server's. It is reserved again where it expired before a slow payment.

    Raises InsufficientCapacity.
    """
    reserved = row.reservation
    if reserved is None or server.reservation_id is None:
        return
    if reserved.state == ReservationState.RELEASED:
        growth = capacity.Growth(reserved.memory_mib, reserved.disk_mib, reserved.ports)
        reserved = capacity.extend_reservation(reservation_id=server.reservation_id, growth=growth, expires_at=None)
        row.reservation = reserved
        row.save(update_fields=["reservation"])
    capacity.merge_extension(extension_id=reserved.pk, at=at)


def return_old_stock(row: PlanChange, item: OrderItem) -> None:
    """Put back the piece of limited stock of the plan that the server no longer is, where it had one."""
    earlier = PlanChange.objects.filter(item=item, is_stock_taken=True, applied_at__isnull=False).exclude(pk=row.pk)
    if item.is_stock_taken or earlier.exists():
        catalog.return_stock(plan_id=row.old_plan_price.plan_id)
    earlier.update(is_stock_taken=False)
    OrderItem.objects.filter(pk=item.pk).update(is_stock_taken=False)


def mark_done(*, server_ids: Collection[UUID], at: datetime) -> None:
    """The provider has the new size."""
    changes = PlanChange.objects.filter(item__server__in=server_ids, status=PlanChangeStatus.APPLYING)
    if done := list(changes.values_list("pk", flat=True)):
        PlanChange.objects.filter(pk__in=done).update(status=PlanChangeStatus.DONE)
        events.plan_changes_moved.send(PlanChange, change_ids=done, status=PlanChangeStatus.DONE, at=at)


def apply_due(*, at: datetime) -> int:
    """Apply every scheduled change whose period has begun and is paid; how many. What is never renewed is canceled."""
    due = PlanChange.objects.filter(status=PlanChangeStatus.SCHEDULED, effective_at__lte=at)
    is_hourly = Q(subscription__term=Term.HOURLY, subscription__status=SubscriptionStatus.ACTIVE)
    paid = due.filter(Q(subscription__current_period_start__gte=F("effective_at")) | is_hourly)

    def apply_one(change_id: UUID) -> bool:
        try:
            with tenancy.as_worker():
                row = locking.lock_change(change_id)
                if not paid.filter(pk=change_id).exists():
                    return False
                deliver(row, at)
        except CANNOT as error:
            undelivered.give_back(change_id=change_id, failure=str(error), at=at)
            return False
        return True

    return work.run_each(list(paid.values_list("pk", flat=True)), apply_one, name="plan change")
