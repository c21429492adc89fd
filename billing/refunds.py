"""Refunds: written down and booked first, asked for outside the transaction, followed until the gateway has decided."""

from datetime import datetime, timedelta
from uuid import UUID

from billing import events, ledger
from billing.gateways import driver_of
from billing.gateways.base import (
    USED_KEYS,
    GatewayRefund,
    RefundRequest,
    RefundStatus,
)
from billing.models import (
    AccountKind,
    EntryKind,
    Invoice,
    InvoiceState,
    LedgerAccount,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    RefundTask,
)
from billing.rows import locked_payment
from core import audit, tenancy, work
from core.ids import uuid7
from core.money import Money
from core.outside import OutsideError, Rejected, Unavailable, Unknown

REFUNDABLE = frozenset({PaymentState.SUCCEEDED, PaymentState.UNDER_REVIEW})
LOOK_AGAIN = timedelta(hours=6)  # at a refund that is on its way
KEY_LIFE = timedelta(hours=23)  # Stripe may forget a key after a day
NOT_ALLOWED = frozenset({401, 403})  # our key is wrong, which says nothing about the refund


class NotRefundable(ValueError):
    """More than what is left, nothing, another currency, or a payment that cannot be refunded as it stands."""


def refund_payment(*, payment: Payment, amount: Money, reason: str, actor: object, at: datetime) -> Refund:
    """Write down a refund and see to it that the gateway is asked, as soon as the transaction is over.

    Raises NotRefundable, and then nothing is written.
    """
    with tenancy.as_worker():
        row = locked_payment(payment.pk)
        _require_refundable(row, amount)
        identity = uuid7()
        refund = _write(row, amount, at, id=identity, reason=reason[:191], idempotency_key=f"refund-{identity}")
        RefundTask.objects.create(refund=refund, run_at=at)
        audit.record(
            action="payment.refund",
            entity=row,
            actor=actor,
            new={"amount_minor": amount.minor, "currency": amount.currency, "reason": reason},
        )
        work.wake_worker(RefundTask)
    return refund


def _require_refundable(payment: Payment, amount: Money) -> None:
    if payment.state not in REFUNDABLE:
        raise NotRefundable(f"a payment that is {payment.state} is not refunded")
    left = payment.refundable
    if amount.currency != left.currency or not 0 < amount.minor <= left.minor:
        raise NotRefundable(f"{amount} of {left} cannot be refunded")


def _write(payment: Payment, amount: Money, at: datetime, **fields: object) -> Refund:
    """The row, the payment's sum (guarded by a constraint) and the booking."""
    payment.refunded_minor += amount.minor
    payment.save(update_fields=["refunded_minor"])
    refund = Refund.objects.create(
        organization_id=payment.organization_id,
        payment=payment,
        amount_minor=amount.minor,
        currency=amount.currency,
        created_at=at,
        **fields,
    )
    clearing = ledger.account_of(AccountKind.CLEARING, amount.currency, payment.gateway)
    ledger.enter(
        kind=EntryKind.REFUND,
        reference=_reference(refund),
        lines=ledger.transfer(_source(payment), clearing, amount),
        organization=payment.organization,
        at=at,
        note=refund.reason,
    )
    return refund


def _reference(refund: Refund) -> str:
    return f"refund:{refund.pk}"


def _source(payment: Payment) -> LedgerAccount:
    """Where the money lies now: held, spent on the invoice, or still in the wallet as credit."""
    currency = payment.received.currency
    if payment.is_held:
        return ledger.account_of(AccountKind.UNDER_REVIEW, currency)
    invoice = payment.invoice
    is_spent = invoice is not None and invoice.paid_at == (payment.accepted_at or payment.settled_at)
    if is_spent:
        return ledger.account_of(AccountKind.REFUNDS, currency)
    return ledger.wallet_of(payment.organization, currency)


def perform(task: RefundTask, *, at: datetime) -> work.Reschedule | None:
    """Ask the gateway for the refund, or look how it is; again later while it is on its way."""
    refund = Refund.objects.select_related("payment").get(pk=task.refund_id)
    if refund.state != RefundState.PENDING:
        return None
    try:
        report = _report(refund, task, at)
    except Rejected as error:
        if error.status in NOT_ALLOWED:
            raise
        _refuse(refund, error, at)
        return None
    take_report(payment_id=refund.payment_id, report=report, at=at)
    return work.Reschedule(after=LOOK_AGAIN) if report.status is RefundStatus.PENDING else None


def _report(refund: Refund, task: RefundTask, at: datetime) -> GatewayRefund:
    driver, request = driver_of(refund.payment.gateway), _request(refund)
    if refund.transaction_id is not None:
        return driver.refund(refund.transaction_id)
    if task.attempts > 1:  # an earlier call may have been carried out unheard: look before repeating
        found = driver.find_refund(request)
        if found is not None:
            return found
        if at - refund.created_at > KEY_LIFE:
            request = _with_new_key(refund)
    try:
        return driver.ask_refund(request)
    except (Unknown, Rejected) as error:
        return _after_used_key(refund, request, error)


def _after_used_key(refund: Refund, request: RefundRequest, error: OutsideError) -> GatewayRefund:
    """A key that can bring no answer any more is replaced, once it is certain that it made no refund."""
    if error.code not in USED_KEYS:
        raise error
    found = driver_of(refund.payment.gateway).find_refund(request)
    if found is not None:
        return found
    _with_new_key(refund)
    raise Unavailable("the refund is asked for again under a new key")


def _request(refund: Refund) -> RefundRequest:
    transaction = refund.payment.transaction_id or ""
    return RefundRequest(refund.pk, refund.idempotency_key, transaction, refund.amount)


def _with_new_key(refund: Refund) -> RefundRequest:
    refund.idempotency_key = f"refund-{refund.pk}-{uuid7().hex[-8:]}"
    refund.save(update_fields=["idempotency_key"])
    return _request(refund)


def _refuse(refund: Refund, error: Rejected, at: datetime) -> None:
    """The gateway said no: the money is still here, and staff see why."""
    with tenancy.as_worker():
        payment = locked_payment(refund.payment_id)
        _undo(payment, Refund.objects.select_for_update().get(pk=refund.pk), str(error), at)


def take_report(*, payment_id: UUID, report: GatewayRefund, at: datetime) -> Refund | None:
    """Make our rows say what the gateway says of a refund, ours or one made at the gateway itself.

    None for one that failed before we heard of it. The same report again changes nothing.
    """
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        refund = _known(payment, report) or _external(payment, report, at)
        if refund is None or refund.state == RefundState.FAILED:
            return refund
        if refund.transaction_id is None:
            refund.transaction_id = report.reference
            refund.save(update_fields=["transaction_id"])
        if report.status is RefundStatus.FAILED:
            _undo(payment, refund, report.failure, at)
        elif report.status is RefundStatus.SUCCEEDED and refund.state == RefundState.PENDING:
            _finish(payment, refund, at)
    return refund


def _known(payment: Payment, report: GatewayRefund) -> Refund | None:
    known = payment.refunds.filter(transaction_id=report.reference).first()
    if known is not None or report.refund_id is None:
        return known
    return payment.refunds.filter(pk=report.refund_id, transaction_id__isnull=True).first()


def _external(payment: Payment, report: GatewayRefund, at: datetime) -> Refund | None:
    if report.status is RefundStatus.FAILED:
        return None
    if payment.refunded_minor + report.amount.minor > payment.received_minor:
        raise Unavailable("a refund of our own is under way and must be decided first")
    return _write(
        payment,
        report.amount,
        at,
        reason="made at the gateway",
        idempotency_key=f"external:{payment.gateway}:{report.reference}",
        transaction_id=report.reference,
    )


def _finish(payment: Payment, refund: Refund, at: datetime) -> None:
    refund.state, refund.settled_at = RefundState.SUCCEEDED, at
    refund.save(update_fields=["state", "settled_at"])
    is_pending = payment.refunds.filter(state=RefundState.PENDING).exists()
    if not payment.refundable and not is_pending and payment.state in REFUNDABLE:
        _turn(payment, PaymentState.REFUNDED, {InvoiceState.PAID: InvoiceState.REFUNDED})
    events.payment_refunded.send(Payment, payment=payment, refund=refund, at=at)


def _undo(payment: Payment, refund: Refund, failure: str, at: datetime) -> None:
    """The refund came to nothing, perhaps days after it succeeded: the money is with us again."""
    if refund.state == RefundState.FAILED:
        return
    refund.state, refund.failure = RefundState.FAILED, failure[:191]
    refund.save(update_fields=["state", "failure"])
    payment.refunded_minor -= refund.amount_minor
    payment.save(update_fields=["refunded_minor"])
    reference = f"refund_failed:{refund.pk}"
    ledger.reverse(kind=EntryKind.REFUND_FAILED, reference=reference, of=_reference(refund), at=at)
    audit.record(action="payment.refund_failed", entity=payment, actor=payment.gateway, new={"failure": failure})
    if payment.state == PaymentState.REFUNDED:
        _turn(payment, resting_state(payment), {InvoiceState.REFUNDED: InvoiceState.PAID})


def _turn(payment: Payment, state: PaymentState, moves: dict[InvoiceState, InvoiceState]) -> None:
    """The payment's state, and with it that of the invoice which it paid."""
    payment.state = state
    payment.save(update_fields=["state"])
    invoice = payment.invoice
    if invoice is not None and not payment.is_held and InvoiceState(invoice.state) in moves:
        Invoice.objects.filter(pk=invoice.pk).update(state=moves[InvoiceState(invoice.state)])


def resting_state(payment: Payment) -> PaymentState:
    """Where received money stands when no dispute and no full refund is on it."""
    return PaymentState.UNDER_REVIEW if payment.is_held else PaymentState.SUCCEEDED
