"""Allocations: which money paid which invoice, and which invoices lose what goes back."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing import events, ledger
from billing.models import (
    AllocationReversal,
    Dispute,
    Invoice,
    InvoiceState,
    Payment,
    PaymentAllocation,
    Refund,
    RefundState,
)
from core.money import Money, total


def allocations_with_rest() -> "QuerySet[PaymentAllocation]":
    """Allocations with `rest_minor`: what of them was not taken back."""
    reversed_minor = Sum("reversals__amount_minor", filter=Q(reversals__undone_at=None))
    return PaymentAllocation.objects.annotate(rest_minor=F("amount_minor") - Coalesce(reversed_minor, 0))


def credit_of(payment: Payment) -> Money:
    """What of the payment is here and has paid no invoice: it is under review, or went to the wallet as credit."""
    rests = allocations_with_rest().filter(payment=payment).values_list("rest_minor", flat=True)
    return payment.refundable - Money(sum(rests), payment.received.currency)


def allocate(*, invoice: Invoice, payment: Payment | None, at: datetime) -> None:
    """Write down what pays the invoice: the payment as far as it goes, and credit of the wallet for the rest."""
    by_payment = Money.zero(invoice.currency)
    if payment is not None and payment.received.currency == invoice.currency:
        by_payment = min(invoice.total, credit_of(payment))
    PaymentAllocation.objects.bulk_create(
        PaymentAllocation(
            organization_id=invoice.organization_id,
            invoice=invoice,
            payment=paid_with,
            amount_minor=amount.minor,
            currency=amount.currency,
            at=at,
        )
        for paid_with, amount in ((payment, by_payment), (None, invoice.total - by_payment))
        if amount
    )


@dataclass(frozen=True)
class Origin:
    """Where an amount of a payment is that goes back: `held` under review, `credit`, and parts of allocations.

    `owed` is the part of `credit` that is no longer in the wallet.
    """

    held: Money
    credit: Money
    owed: Money
    parts: list[tuple[PaymentAllocation, Money]]

    @property
    def allocated(self) -> Money:
        """The parts of allocations together."""
        return total((part for _allocation, part in self.parts), self.held.currency)


def origin_of(payment: Payment, amount: Money) -> Origin:
    """Where the amount is, at most what is left of the payment; the payment is locked, and its wallet from here on.

    Credit that is still in the wallet goes first, then what was paid with it, the latest first, and credit that was
    spent otherwise last.
    """
    nothing = Money.zero(amount.currency)
    if payment.is_under_review:
        return Origin(held=amount, credit=nothing, owed=nothing, parts=[])
    wallet = ledger.lock_wallet(payment.organization, amount.currency)
    rest = amount - min(amount, credit_of(payment), Money(wallet.balance_minor, amount.currency))
    parts = []
    for allocation in allocations_with_rest().filter(payment=payment, rest_minor__gt=0).order_by("-at", "-id"):
        part = min(rest, Money(allocation.rest_minor, amount.currency))  # type: ignore[attr-defined]
        if part:
            parts.append((allocation, part))
            rest -= part
    allocated = total((part for _allocation, part in parts), amount.currency)
    return Origin(held=nothing, credit=amount - allocated, owed=rest, parts=parts)


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


def close_refunded_invoices(refund: Refund, *, at: datetime) -> None:
    """The refund succeeded: an invoice of which nothing is left, and no refund is pending, is refunded."""
    for invoice in Invoice.objects.filter(allocations__reversals__refund=refund, state=InvoiceState.PAID).distinct():
        paid_with = allocations_with_rest().filter(invoice=invoice)
        pending = AllocationReversal.objects.filter(
            allocation__invoice=invoice, undone_at=None, refund__state=RefundState.PENDING
        )
        if not paid_with.filter(rest_minor__gt=0).exists() and not pending.exists():
            invoice.state = InvoiceState.REFUNDED
            invoice.save(update_fields=["state"])
            events.funds_withdrawn.send(Invoice, invoice=invoice, reason="payment refunded", at=at)


def undo_reversals(reversals: "QuerySet[AllocationReversal]", *, at: datetime) -> list[Invoice]:
    """The refund failed or the dispute was won after all; the invoices that have their money again."""
    undone = reversals.filter(undone_at=None)
    invoices = list(Invoice.objects.filter(allocations__reversals__in=undone).distinct())
    undone.update(undone_at=at)
    for invoice in invoices:
        if invoice.state == InvoiceState.REFUNDED:
            invoice.state = InvoiceState.PAID
            invoice.save(update_fields=["state"])
    return invoices
