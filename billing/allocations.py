"""What goes back of a payment: from which of its allocations, and which invoices lose it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, QuerySet

from billing import credit_notes, events, invoicing, ledger, paid_periods, subscriptions
from billing.models import (
    PERIOD_KINDS,
    AccountKind,
    AllocationReversal,
    Dispute,
    EntryKind,
    Invoice,
    InvoiceState,
    JournalEntry,
    Payment,
    PaymentAllocation,
    Refund,
    RefundState,
)
from core.money import Money, total


@dataclass(frozen=True)
class Origin:
    """What a refund or a lost dispute is taken from: money `under_review`, `credit`, and parts of allocations.

    `owed` is the part of `credit` that is no longer in the wallet.
    """

    under_review: Money
    credit: Money
    owed: Money
    parts: list[tuple[PaymentAllocation, Money]]

    @property
    def allocated(self) -> Money:
        """The parts of allocations together."""
        return total((part for _allocation, part in self.parts), self.under_review.currency)


def origin_of(payment: Payment, amount: Money, allocation: PaymentAllocation | None = None) -> Origin:
    """What the amount is taken from; it is at most what is left of the payment. The caller holds the payment's lock.

    The wallet stays locked until the transaction ends. With an `allocation`, all is taken from it. Otherwise credit
    that is still in the wallet goes first, then what was paid with it, the latest first, and credit that was spent
    otherwise last.
    """
    nothing = Money.zero(amount.currency)
    if allocation is not None:
        return Origin(under_review=nothing, credit=nothing, owed=nothing, parts=[(allocation, amount)])
    if payment.is_under_review:
        return Origin(under_review=amount, credit=nothing, owed=nothing, parts=[])
    wallet = ledger.lock_wallet(payment.organization, amount.currency)
    paid = invoicing.open_allocations(Q(payment=payment))
    unspent = payment.refundable - total((left for _allocation, left in paid), amount.currency)
    rest = amount - min(amount, unspent, Money(wallet.balance_minor, amount.currency))
    parts = []
    for row, left in paid:
        if rest:
            part = min(rest, left)
            parts.append((row, part))
            rest -= part
    allocated = total((part for _allocation, part in parts), amount.currency)
    return Origin(under_review=nothing, credit=amount - allocated, owed=rest, parts=parts)


def reverse(origin: Origin, *, refund: Refund | None = None, dispute: Dispute | None = None, at: datetime) -> None:
    """Write down which allocations a refund or a lost dispute takes back."""
    AllocationReversal.objects.bulk_create(
        AllocationReversal(
            organization_id=allocation.organization_id,
            allocation=allocation,
            refund=refund,
            dispute=dispute,
            amount_minor=part.minor,
            currency=part.currency,
            at=at,
        )
        for allocation, part in origin.parts
    )


def close_refunded_invoice(
    invoice: Invoice, *, cause: events.StopReason = events.StopReason.REFUNDED, at: datetime
) -> None:
    """What has gone back of an invoice gets its credit note. A paid one of which nothing is left, and no refund is
    pending, is refunded: by us, or by the customer's bank.

    The caller holds the locks of the invoice and of the subscriptions that it is for.
    """
    reason = "dispute lost" if cause == events.StopReason.DISPUTE_LOST else "payment refunded"
    credit_notes.issue_credit_notes(invoice=invoice, reason=reason, at=at)
    pending = Refund.objects.filter(allocation_reversals__allocation__invoice=invoice, state=RefundState.PENDING)
    if (
        invoice.state == InvoiceState.PAID
        and not invoicing.open_allocations(Q(invoice=invoice))
        and not pending.exists()
    ):
        invoice.transition_to(InvoiceState.REFUNDED)
        invoice.save(update_fields=["state"])
        current = Q(
            invoice_items__invoice=invoice,
            invoice_items__kind__in=PERIOD_KINDS,  # a change that failed within a period leaves the period paid
            invoice_items__period_start=F("current_period_start"),
        )
        subscriptions.stop_renewal(of=current, reason=cause, at=at)
        paid_periods.put_back(invoice_id=invoice.pk, at=at)
        events.funds_withdrawn.send(Invoice, invoice_ids=[invoice.pk], reason=reason, at=at)


def close_lost_invoices(payment: Payment, *, at: datetime) -> None:
    """The invoices of which a lost dispute over the payment left nothing are refunded: the bank gave the money back."""
    for invoice in Invoice.objects.filter(allocations__payment=payment).distinct().order_by("pk"):
        close_refunded_invoice(invoice, cause=events.StopReason.DISPUTE_LOST, at=at)


def undo_reversals(reversals: "QuerySet[AllocationReversal]", *, reason: str, at: datetime) -> list[AllocationReversal]:
    """What was taken back is there again, because the refund failed or the dispute was won; what was undone now.

    Its credit notes are void.
    """
    undone = list(reversals.filter(undone_at=None).select_related("allocation__invoice__organization"))
    AllocationReversal.objects.filter(pk__in=[reversal.pk for reversal in undone]).update(undone_at=at)
    credit_notes.void_credit_notes(of=undone, reason=reason, actor=None, at=at)
    return undone


def reinstate_invoices(undone: Collection[AllocationReversal], *, at: datetime) -> list[Invoice]:
    """The invoices of undone reversals of which something is left now: a refunded one is paid again."""
    left = {allocation.invoice_id for allocation, _rest in open_allocations_of(undone)}
    invoices = list(Invoice.objects.filter(pk__in=left).order_by("pk"))
    for invoice in invoices:
        if invoice.state == InvoiceState.REFUNDED:
            invoice.transition_to(InvoiceState.PAID)
            invoice.save(update_fields=["state"])
    paid_periods.restore(invoice_ids=[invoice.pk for invoice in invoices])
    return invoices


def open_allocations_of(reversals: Collection[AllocationReversal]) -> list[tuple[PaymentAllocation, Money]]:
    """The allocations of the reversals of which something is left, with what is left."""
    return invoicing.open_allocations(Q(pk__in=[reversal.allocation_id for reversal in reversals]))


def times_given_back(payment: Payment) -> int:
    """How often the payment was refunded, also where that failed, or given back as credit."""
    credited = AllocationReversal.objects.filter(allocation__payment=payment, refund=None, dispute=None)
    return payment.refunds.count() + credited.count()


def release_accepted(payment: Payment, entry: JournalEntry, at: datetime) -> None:
    """Credit what an entry brought back to suspense although the payment was accepted in the meantime."""
    suspense = entry.postings.filter(account__kind=AccountKind.SUSPENSE).select_related("account").first()
    if suspense is not None and not payment.is_under_review:
        lines = ledger.deposit(payment.organization, Money(suspense.amount_minor, suspense.currency))
        ledger.post_entry(
            kind=EntryKind.REVIEW_ACCEPTED,
            reference=f"review_accepted:{entry.reference}",
            lines=[ledger.EntryLine(suspense.account, Money(-suspense.amount_minor, suspense.currency)), *lines],
            organization=payment.organization,
            source=payment,
            at=at,
        )
