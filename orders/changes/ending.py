"""Ending a change that is not applied: canceled, or not confirmed or paid in time. What it reserved is released."""

from datetime import datetime
from uuid import UUID

from accounts.models import User
from billing import checkout, invoicing, item_changes
from billing.models import InvoiceItem, Payment, PaymentState
from billing.subscriptions import OVER
from catalog import services as catalog
from catalog.models import Term
from core import audit, tenancy, work
from orders import events
from orders.changes import locking
from orders.changes.models import PlanChange, PlanChangeStatus
from servers import capacity

UNPAID = (PlanChangeStatus.QUOTED, PlanChangeStatus.PENDING_PAYMENT)


def cancel(*, change: PlanChange, actor: User | None, at: datetime) -> bool:
    """Cancel a change that has not begun; False when it is too late: money is on its way, or the period is billed.

    Money that arrives nevertheless becomes credit.
    """
    with tenancy.as_worker(change):
        row = locking.lock_change(change.pk)
        if not is_cancelable(row, at):
            return False
        if row.status == PlanChangeStatus.SCHEDULED:
            undo_schedule(row, at)
        close(row, PlanChangeStatus.CANCELED, at=at)
        audit.record(action="plan_change.cancel", entity=row, actor=actor, new={"status": row.status}, at=at)
    return True


def is_cancelable(row: PlanChange, at: datetime) -> bool:
    """Whether the change can still be canceled."""
    if row.status == PlanChangeStatus.QUOTED:
        return True
    if row.status == PlanChangeStatus.PENDING_PAYMENT and row.invoice is not None:
        under_way = row.invoice.payments.filter(state__in=[PaymentState.PROCESSING, PaymentState.UNDER_REVIEW])
        return not under_way.exists() and not checkout.is_payable_until_expiry(row.invoice)
    if row.status == PlanChangeStatus.SCHEDULED:
        billed = InvoiceItem.objects.filter(subscription=row.subscription_id, is_void=False)
        return row.effective_at > at and not billed.filter(period_end__gt=row.effective_at).exists()
    return False


def undo_schedule(row: PlanChange, at: datetime) -> None:
    """The subscription goes on with the items, the price and the billing cycle that it has."""
    item_changes.undo_switch(
        subscription=row.subscription, ended=row.ended_items, begun=row.begun_items, term=Term(row.old_term), at=at
    )


def close(row: PlanChange, status: PlanChangeStatus, *, failure: str = "", at: datetime) -> None:
    """End a locked change: its draft expires, its stock and its capacity are returned, renewals go on."""
    if row.invoice is not None:
        invoicing.void_draft(invoice=row.invoice, at=at)
    if row.subscription.change_pending_until is not None:
        row.subscription.change_pending_until = None
        row.subscription.save(update_fields=["change_pending_until"])
    if row.is_stock_taken:
        catalog.return_stock(plan_id=row.plan_price.plan_id)
        row.is_stock_taken = False
    if row.reservation_id is not None:
        capacity.release(reservation_ids=[row.reservation_id], at=at)
    row.transition_to(status)
    row.failure = failure[:191]
    row.save(update_fields=["status", "failure", "is_stock_taken"])
    if status == PlanChangeStatus.FAILED:
        events.plan_changes_moved.send(PlanChange, change_ids=[row.pk], status=status, at=at)


def expire_due(*, at: datetime) -> int:
    """End what was not confirmed or paid in time, and what was scheduled of a sale that is over; how many.

    A payment expires at the same instant and is polled, so this waits until none is open or under review.
    """
    money = [*Payment.OPEN, PaymentState.UNDER_REVIEW]
    late = PlanChange.objects.filter(status__in=UNPAID, expires_at__lte=at).exclude(invoice__payments__state__in=money)
    idle = PlanChange.objects.filter(status=PlanChangeStatus.SCHEDULED, subscription__status__in=OVER)

    def end(change_id: UUID) -> bool:
        with tenancy.as_worker():
            row = locking.lock_change(change_id)
            if late.filter(pk=change_id).exists():
                close(row, PlanChangeStatus.EXPIRED, at=at)
            elif idle.filter(pk=change_id).exists():
                close(row, PlanChangeStatus.CANCELED, failure="the subscription is over", at=at)
            else:
                return False
        return True

    ids = [*late.values_list("pk", flat=True), *idle.values_list("pk", flat=True)]
    return work.run_each(ids, end, name="end of a plan change")
