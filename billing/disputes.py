"""Disputes: a bank took the money back, and perhaps gives it again."""

from datetime import datetime
from uuid import UUID

from billing import events, ledger
from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.models import AccountKind, Dispute, EntryKind, Payment, PaymentState
from billing.refunds import resting_state
from billing.rows import locked_payment
from core import audit, tenancy

CLOSED = frozenset({DisputeStatus.WON, DisputeStatus.LOST})


def take_report(*, payment_id: UUID, report: GatewayDispute, at: datetime) -> Dispute | None:
    """Make our rows say what the gateway says of a dispute; the same report again changes nothing.

    None while no money was taken: an inquiry, or one that was won before we heard of it.
    """
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        dispute = Dispute.objects.filter(reference=report.reference).first()
        if dispute is None:
            if report.status in {DisputeStatus.INQUIRY, DisputeStatus.WON}:
                return None
            dispute = _open(payment, report, at)
        if report.status in CLOSED and dispute.closed_at is None:
            _close(payment, dispute, report.status, at)
    return dispute


def _open(payment: Payment, report: GatewayDispute, at: datetime) -> Dispute:
    dispute = Dispute.objects.create(
        organization_id=payment.organization_id,
        payment=payment,
        reference=report.reference,
        amount_minor=report.amount.minor,
        currency=report.amount.currency,
        reason=report.reason,
        opened_at=report.opened_at,
    )
    currency = report.amount.currency
    clearing = ledger.account_of(AccountKind.CLEARING, currency, payment.gateway)
    disputed = ledger.account_of(AccountKind.DISPUTES, currency)
    ledger.enter(
        kind=EntryKind.DISPUTE,
        reference=_reference(dispute),
        lines=ledger.transfer(disputed, clearing, report.amount),
        organization=payment.organization,
        at=at,
    )
    payment.state = PaymentState.DISPUTED
    payment.save(update_fields=["state"])
    audit.record(action="payment.dispute", entity=payment, actor=payment.gateway, new={"reason": report.reason})
    events.payment_disputed.send(Payment, payment=payment, at=at)
    return dispute


def _reference(dispute: Dispute) -> str:
    return f"dispute:{dispute.reference}"


def _close(payment: Payment, dispute: Dispute, verdict: DisputeStatus, at: datetime) -> None:
    is_won = verdict is DisputeStatus.WON
    dispute.closed_at, dispute.is_won = at, is_won
    dispute.save(update_fields=["closed_at", "is_won"])
    if is_won:
        reference = f"dispute_won:{dispute.reference}"
        ledger.reverse(kind=EntryKind.DISPUTE_WON, reference=reference, of=_reference(dispute), at=at)
        if not payment.disputes.exclude(is_won=True).exists():
            payment.state = resting_state(payment) if payment.refundable else PaymentState.REFUNDED
            payment.save(update_fields=["state"])
    audit.record(action="payment.dispute_closed", entity=payment, actor=payment.gateway, new={"is_won": is_won})
    events.dispute_closed.send(Payment, payment=payment, is_won=is_won, at=at)
