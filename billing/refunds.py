"""Refunds: recorded and posted first, requested outside the transaction, followed until the gateway has decided."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

from billing import allocations, disputes, events, invoicing, ledger, payments, subscriptions, unexplained
from billing.allocations import Origin
from billing.gateways.abilities import Refunds
from billing.gateways.base import (
    NOT_AUTHORIZED,
    USED_KEYS,
    GatewayRefund,
    RefundRequest,
    RefundStatus,
    driver_of,
    driver_with,
)
from billing.ledger import EntryLine
from billing.models import (
    AccountKind,
    AllocationReversal,
    EntryKind,
    Invoice,
    InvoiceState,
    Payment,
    PaymentAllocation,
    PaymentState,
    Refund,
    RefundState,
    RefundTask,
    Subscription,
)
from core import audit, tenancy, work
from core.ids import uuid7
from core.models import Outcome
from core.money import Money, total
from core.outside import Rejected, Unavailable, Unknown

REFUNDABLE = frozenset({PaymentState.SUCCEEDED, PaymentState.UNDER_REVIEW})
PENDING_POLL = timedelta(hours=6)
KEY_LIFE = timedelta(hours=23)  # a gateway may forget a key after a day


class NotRefundable(ValueError):
    """More than what is left, nothing, another currency, or a payment in a state that is not refunded."""


def refund_payment(
    *,
    payment: Payment,
    amount: Money,
    allocation: PaymentAllocation | None = None,
    reason: str,
    actor: object,
    at: datetime,
) -> Refund:
    """Record a refund and have it requested from the gateway as soon as the transaction is over.

    It is of what paid the allocation's invoice; without one, of the payment's credit first. Raises NotRefundable, and
    then nothing is written.
    """
    with tenancy.as_worker():
        row = payments.lock_payment(payment.pk)
        if row.state not in REFUNDABLE:
            raise NotRefundable(f"a payment that is {row.state} is not refunded")
        if not can_refund(row):
            raise NotRefundable(f"gateway {row.gateway} does not send this money back")
        left = row.refundable
        if amount.currency != left.currency or not 0 < amount.minor <= left.minor:
            raise NotRefundable(f"{amount} of {left} cannot be refunded")
        origin = allocations.origin_of(row, amount, allocation)
        if origin.owed:
            raise NotRefundable(f"{origin.owed} of credit was spent and cannot be refunded")
        refund_id = uuid7()
        key = f"refund-{refund_id}"
        refund = _create(row, amount, origin, at, id=refund_id, reason=reason[:191], idempotency_key=key)
        RefundTask.objects.create(refund=refund, run_at=at)
        new = {"amount_minor": amount.minor, "currency": amount.currency, "reason": reason}
        audit.record(action="payment.refund", entity=row, actor=actor, new=new, at=at)
        work.wake_worker(RefundTask)
    return refund


def refund_invoice(*, invoice: Invoice, reason: str, actor: object, at: datetime) -> None:
    """Give back what paid the invoice: payments at their gateways; credit to the wallet, as where no gateway refunds.

    Money that a bank has taken for a dispute is not here to be given back.
    """
    with tenancy.as_worker():
        # All invoices that its payments paid, in the order in which each payment's are locked.
        paid = PaymentAllocation.objects.filter(payment__allocations__invoice=invoice.pk).values("invoice_id")
        invoices = Invoice.objects.select_for_update(no_key=True).filter(pk__in=paid).order_by("pk")
        locked = list(invoices.values_list("pk", flat=True))
        row = invoicing.lock_invoice(invoice.pk)
        subscriptions.lock_subscriptions_of([*locked, row.pk])
        for allocation, rest in invoicing.open_allocations(Q(invoice=row)):
            payment = allocation.payment
            if payment is not None and payment.state not in REFUNDABLE:
                continue
            if payment is None or not can_refund(payment):
                return_credit(allocation, rest, at)
            else:
                refund_payment(payment=payment, amount=rest, allocation=allocation, reason=reason, actor=actor, at=at)
        allocations.close_refunded_invoice(row, at=at)


def refund_unused_payments(*, invoice: Invoice, reason: str, at: datetime) -> None:
    """Send back what arrived for an invoice that it could not pay. Where the gateway cannot, it stays credit."""
    with tenancy.as_worker():
        row = invoicing.lock_invoice(invoice.pk)
        arrived = row.payments.filter(state=PaymentState.SUCCEEDED, allocations=None).order_by("pk")
        for payment in arrived:
            if payment.refundable and can_refund(payment):
                refund_payment(payment=payment, amount=payment.refundable, reason=reason, actor=None, at=at)


def sends_refunds(gateway: str) -> bool:
    """Whether the gateway sends money back."""
    return isinstance(driver_of(gateway), Refunds)


def can_refund(payment: Payment) -> bool:
    """Whether the gateway sends this money back. Otherwise it can only become credit in the wallet."""
    driver = driver_of(payment.gateway)
    return isinstance(driver, Refunds) and (driver.REFUNDS_DISPUTED or not payment.disputes.exists())


def refundable_of(payment: Payment) -> Money:
    """What can be given back: at the gateway what is left of the payment, as credit what it paid and is not credit."""
    if can_refund(payment):
        return payment.refundable
    paid = invoicing.open_allocations(Q(payment=payment))
    return total((left for _allocation, left in paid), payment.received.currency)


def credit_payment(*, payment: Payment, amount: Money, reason: str, actor: object, at: datetime) -> None:
    """Give back to the wallet what the payment paid, the latest invoice first. Raises NotRefundable."""
    with tenancy.as_worker():
        row = payments.lock_payment(payment.pk)
        paid = invoicing.open_allocations(Q(payment=row)) if row.state in REFUNDABLE else []
        left = total((part for _allocation, part in paid), row.received.currency)
        if amount.currency != left.currency or not 0 < amount.minor <= left.minor:
            raise NotRefundable(f"{amount} of {left} cannot be given back as credit")
        return_credit_of(paid, amount, at)
        new = {"amount_minor": amount.minor, "currency": amount.currency, "reason": reason}
        audit.record(action="payment.credit", entity=row, actor=actor, new=new, at=at)


def credit_invoice(*, invoice: Invoice, at_most: Money | None = None, at: datetime) -> None:
    """Give the wallet what is left of what paid the invoice, or a part of it, because it is not delivered.

    The caller holds the locks of the invoice and of the subscriptions that it is for.
    """
    with tenancy.as_worker():
        paid = invoicing.open_allocations(Q(invoice=invoice))
        left = total((part for _allocation, part in paid), invoice.currency)
        return_credit_of(paid, left if at_most is None else min(left, at_most), at)
        if not paid:  # it was free
            allocations.close_refunded_invoice(invoicing.lock_invoice(invoice.pk), at=at)


def return_credit_of(paid: Sequence[tuple[PaymentAllocation, Money]], amount: Money, at: datetime) -> None:
    """Give to the wallet so much of what paid invoices, the latest first."""
    for allocation, part in paid:
        if credit := min(part, amount):
            return_credit(allocation, credit, at)
            allocations.close_refunded_invoice(allocation.invoice, at=at)
            amount -= credit


def return_credit(allocation: PaymentAllocation, amount: Money, at: datetime) -> None:
    """Give to the wallet what paid an invoice; what was promotional credit is that again."""
    invoice = allocation.invoice
    reversal = AllocationReversal.objects.create(
        organization=invoice.organization,
        allocation=allocation,
        amount_minor=amount.minor,
        currency=amount.currency,
        at=at,
    )
    is_credit = allocation.payment_id is None
    given = ledger.give_back(invoice, amount) if is_credit else ledger.deposit(invoice.organization, amount)
    ledger.post_entry(
        kind=EntryKind.CREDIT_RETURNED,
        reference=f"credit_returned:{reversal.pk}",
        lines=[EntryLine(ledger.account_of(AccountKind.REFUNDS, amount.currency), -amount), *given],
        organization=invoice.organization,
        source=invoice,
        at=at,
    )


def _create(payment: Payment, amount: Money, origin: Origin, at: datetime, **fields: object) -> Refund:
    """The row, what it takes back, the payment's refunded sum (guarded by a constraint) and the journal entry."""
    payment.refunded_minor += amount.minor
    payment.save(update_fields=["refunded_minor"])
    refund = Refund.objects.create(
        organization_id=payment.organization_id,
        payment=payment,
        gateway=payment.gateway,
        is_live=payment.is_live,
        amount_minor=amount.minor,
        currency=amount.currency,
        created_at=at,
        **fields,
    )
    allocations.reverse(origin, refund=refund, at=at)
    clearing = ledger.account_of(AccountKind.CLEARING, amount.currency, payment.gateway)
    lines: list[EntryLine] = []
    if origin.under_review:
        suspense = ledger.account_of(AccountKind.SUSPENSE, amount.currency)
        lines += ledger.transfer(suspense, clearing, origin.under_review)
    if origin.allocated:
        lines += ledger.transfer(ledger.account_of(AccountKind.REFUNDS, amount.currency), clearing, origin.allocated)
    if origin.credit:
        lines += ledger.withdraw(payment.organization, clearing, origin.credit)
    ledger.post_entry(
        kind=EntryKind.REFUND,
        reference=f"refund:{refund.pk}",
        lines=lines,
        organization=payment.organization,
        source=refund,
        at=at,
        note=refund.reason,
    )
    return refund


def perform(task: RefundTask, *, at: datetime) -> work.Reschedule | None:
    """Request the refund from the gateway, or read how it stands; again later while it is pending."""
    refund = Refund.objects.select_related("payment").get(pk=task.refund_id)
    if refund.state != RefundState.PENDING:
        return None
    try:
        if refund.transaction_id is not None:
            gateway_refund = driver_with(refund.payment.gateway, Refunds).read_refund(refund.transaction_id)
        else:
            # A task that staff put back after it was dead counts its attempts from zero, and keeps its last error.
            was_tried = task.attempts > 1 or bool(task.last_error)
            gateway_refund = request_refund(refund, was_tried=was_tried, at=at)
    except Rejected as error:
        if error.status in NOT_AUTHORIZED:
            raise
        with tenancy.as_worker():  # refused: the money is still here, and staff see why
            payment = payments.lock_payment(refund.payment_id)
            _undo(payment, Refund.objects.select_for_update().get(pk=refund.pk), str(error), at)
        return None
    record_refund(payment_id=refund.payment_id, gateway_refund=gateway_refund, at=at)
    return work.Reschedule(after=PENDING_POLL) if gateway_refund.status is RefundStatus.PENDING else None


def request_refund(refund: Refund, *, was_tried: bool, at: datetime) -> GatewayRefund:
    """Create the refund at the gateway, exactly once however often this is called."""
    driver, request = driver_with(refund.payment.gateway, Refunds), _request(refund)
    if was_tried:  # an earlier call may have created it although its answer was lost: look before repeating
        found = driver.find_refund(request)
        if found is not None:
            return found
        if at - refund.created_at > KEY_LIFE:
            _renew_key(refund)
            request = _request(refund)
    try:
        return driver.create_refund(request)
    except (Unknown, Rejected) as error:
        if error.code not in USED_KEYS:
            raise
        # The key is used up. It is replaced once it is certain that it created no refund.
        found = driver.find_refund(request)
        if found is not None:
            return found
        _renew_key(refund)
        raise Unavailable("the refund is requested again under a new key") from error


def _request(refund: Refund) -> RefundRequest:
    return RefundRequest(refund.pk, refund.idempotency_key, refund.payment.transaction_id or "", refund.amount)


def _renew_key(refund: Refund) -> None:
    refund.idempotency_key = f"refund-{refund.pk}-{uuid7().hex[-8:]}"
    refund.save(update_fields=["idempotency_key"])


def record_refund(
    *, payment_id: UUID, gateway_refund: GatewayRefund, reason: str = "made at the gateway", at: datetime
) -> Refund | None:
    """Make our rows agree with a refund at the gateway, whether we or somebody at the gateway made it.

    `reason` is that of a refund that we did not ask for. None for one that failed before we knew of it. The same state
    again changes nothing.
    """
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        refund = payment.refunds.filter(transaction_id=gateway_refund.reference).first()
        if refund is None and gateway_refund.refund_id is not None:
            refund = payment.refunds.filter(pk=gateway_refund.refund_id, transaction_id__isnull=True).first()
        if refund is None:  # made at the gateway
            if gateway_refund.status is RefundStatus.FAILED:
                return None
            if payment.refunded_minor + gateway_refund.amount.minor > payment.received_minor:
                raise Unavailable("a refund of ours is under way and must be decided first")
            refund = _create(
                payment,
                gateway_refund.amount,
                allocations.origin_of(payment, gateway_refund.amount),
                at,
                reason=reason[:191],
                idempotency_key=f"external:{payment.gateway}:{gateway_refund.reference}",
                transaction_id=gateway_refund.reference,
            )
        if refund.state == RefundState.FAILED:
            return refund
        if refund.transaction_id is None:
            refund.transaction_id = gateway_refund.reference
            refund.save(update_fields=["transaction_id"])
        if gateway_refund.status is RefundStatus.FAILED:
            _undo(payment, refund, gateway_refund.failure, at)
        elif gateway_refund.status is RefundStatus.SUCCEEDED and refund.state == RefundState.PENDING:
            refund.state, refund.settled_at = RefundState.SUCCEEDED, at
            refund.save(update_fields=["state", "settled_at"])
            payment.state = payments.received_state(payment)
            payment.save(update_fields=["state"])
            for invoice in Invoice.objects.filter(allocations__reversals__refund=refund).distinct():
                allocations.close_refunded_invoice(invoice, at=at)
            if payment.state == PaymentState.REFUNDED:
                subscriptions.end_charging_of(payment=payment, reason=events.StopReason.REFUNDED, at=at)
    return refund


def _undo(payment: Payment, refund: Refund, failure: str, at: datetime) -> None:
    """The refund failed, perhaps days after it succeeded: the money is here again."""
    if refund.state == RefundState.FAILED:
        return
    refund.state, refund.failure = RefundState.FAILED, failure[:191]
    refund.save(update_fields=["state", "failure"])
    payment.refunded_minor -= refund.amount_minor
    payment.state = payments.received_state(payment)
    payment.save(update_fields=["refunded_minor", "state"])
    reversal = ledger.reverse_entry(
        kind=EntryKind.REFUND_FAILED, reference=f"refund_failed:{refund.pk}", of=f"refund:{refund.pk}", at=at
    )
    failed: dict[str, Any] = {"outcome": Outcome.FAILED, "message": failure}
    audit.record(action="payment.refund_failed", entity=payment, actor=payment.gateway, **failed, at=at)
    allocations.release_accepted(payment, reversal, at)
    undone = allocations.undo_reversals(refund.allocation_reversals.all(), reason="refund failed", at=at)
    partly_lost = payment.disputes.filter(is_won=False, lost_minor__lt=F("amount_minor"))
    lost = list(partly_lost.filter(currency=refund.currency).order_by("pk"))
    for dispute in lost:  # it found nothing to take while the refund had it
        disputes.record_loss(payment, dispute, at)
    if lost:
        payment.state = payments.received_state(payment)
        payment.save(update_fields=["state", "lost_minor"])
    undeliverable = _credit_undeliverable(undone, at)
    kept = [reversal for reversal in undone if reversal not in undeliverable]
    if reinstated := allocations.reinstate_invoices(kept, at=at):
        events.funds_reinstated.send(Invoice, invoice_ids=[invoice.pk for invoice in reinstated], at=at)
    if lost:
        allocations.close_lost_invoices(payment, at=at)
    what = "The customer did not get the money"
    if undeliverable:
        what = f"{'What a dispute left of its' if lost else 'Its'} money is in the customer's wallet"
    unexplained.record_failed_refund(refund=refund, note=f"{what}: {failure}", at=at)
    events.refunds_failed.send(Refund, refund_ids=[refund.pk], at=at)


def _credit_undeliverable(undone: Sequence[AllocationReversal], at: datetime) -> list[AllocationReversal]:
    """What is left of a failed refund that pays for nothing goes to the wallet; the reversals it was in.

    The customer was promised it, and no server is delivered for it: the subscriptions are over, or the rest of what
    paid the refunded invoice is back as credit, so that it is not paid again. The invoices stay refunded.
    """
    sold = Subscription.objects.filter(invoice_items__invoice=OuterRef("allocation__invoice"))
    is_over = Exists(sold) & ~Exists(sold.exclude(status__in=subscriptions.OVER))
    back_as_credit = AllocationReversal.objects.filter(
        allocation__invoice=OuterRef("allocation__invoice"), refund=None, dispute=None, undone_at=None
    )
    is_partly_paid = Q(allocation__invoice__state=InvoiceState.REFUNDED) & Exists(back_as_credit)
    rows = AllocationReversal.objects.filter(
        is_over | is_partly_paid, pk__in=[reversal.pk for reversal in undone]
    ).select_related("allocation__invoice__organization")
    undeliverable = list(rows)
    left = {allocation.pk: rest for allocation, rest in allocations.open_allocations_of(undeliverable)}
    for reversal in undeliverable:
        if rest := left.get(reversal.allocation_id):
            amount = min(rest, Money(reversal.amount_minor, reversal.currency))
            return_credit(reversal.allocation, amount, at)
            allocations.close_refunded_invoice(reversal.allocation.invoice, at=at)
    return undeliverable
