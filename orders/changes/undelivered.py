"""A scheduled change whose period is billed, and that cannot be delivered: the server stays as it is."""

from datetime import datetime
from fractions import Fraction
from uuid import UUID

from billing import invoicing, item_changes, refunds
from billing.models import Invoice, InvoiceState, SubscriptionItem
from billing.proration import round_minor
from catalog.models import Term
from core import audit, tenancy
from core.money import Money, Rate, total
from orders.changes import ending, locking
from orders.changes.models import PlanChange, PlanChangeStatus


def give_back(*, change_id: UUID, failure: str, at: datetime) -> None:
    """What the billed time costs more than before becomes credit, and from the next period on all is as it was sold.

    What it costs less is the shop's loss, and so is what a few hours cost more that were charged as they were used.
    Calling it twice is harmless.
    """
    with tenancy.as_worker():
        subscription_id, since = PlanChange.objects.values_list("subscription_id", "effective_at").get(pk=change_id)
        paid = Invoice.objects.filter(
            items__subscription=subscription_id,
            items__period_end__gt=since,
            state=InvoiceState.PAID,
            usage_month=None,
        )
        invoices = invoicing.lock_invoices(list(paid.values_list("pk", flat=True)))
        row = locking.lock_change(change_id)
        if row.status != PlanChangeStatus.SCHEDULED:
            return
        for invoice in invoices:
            if excess := excess_of(row, invoice):
                refunds.credit_invoice(invoice=invoice, at_most=excess, at=at)
        item_changes.sell_again(
            subscription=row.subscription, ended=row.ended_items, begun=row.begun_items, term=Term(row.old_term)
        )
        ending.close(row, PlanChangeStatus.FAILED, failure=failure, at=at)
        audit.record(action="plan_change.fail", entity=row, new={"failure": failure}, at=at)


def excess_of(row: PlanChange, invoice: Invoice) -> Money | None:
    """What an invoice charged more for the new items than the old ones cost for as long, with its tax, if it did."""
    begun = [line.amount for line in invoice.items.all() if str(line.subscription_item_id) in row.begun_items]
    if not begun:
        return None
    old = SubscriptionItem.objects.filter(pk__in=row.ended_items)
    before = total((Rate(each.unit_minor, each.currency).times(each.quantity) for each in old), invoice.currency)
    longer = Fraction(Term(row.plan_price.term).months, Term(row.old_term).months)
    excess = total(begun, invoice.currency).minor - before.minor * longer
    listed = total((line.amount for line in invoice.items.all()), invoice.currency)
    if excess <= 0 or not listed:
        return None
    return round_minor(excess * Fraction(invoice.total_minor, listed.minor), invoice.currency)
