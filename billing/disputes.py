"""Disputes: a bank took the money back, and returns it when the dispute is won."""

from datetime import datetime
from uuid import UUID

from billing import events, ledger, payments, refunds
from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.models import AccountKind, Dispute, EntryKind, Payment, PaymentState
from core import audit, tenancy

CLOSED = frozenset({DisputeStatus.WON, DisputeStatus.LOST})


def record_dispute(*, payment_id: UUID, gateway_dispute: GatewayDispute, at: datetime) -> Dispute | None:
    """Make our rows agree with a dispute at the gateway; the same state again changes nothing.

    None while no money was taken: an inquiry, or a dispute that was won before we knew of it.
    """
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        dispute = Dispute.objects.filter(reference=gateway_dispute.reference).first()
        if dispute is None:
            if gateway_dispute.status in {DisputeStatus.INQUIRY, DisputeStatus.WON}:
                return None
            dispute = open_dispute(payment, gateway_dispute, at)
        if gateway_dispute.status in CLOSED and dispute.closed_at is None:
            is_won = gateway_dispute.status is DisputeStatus.WON
            dispute.closed_at, dispute.is_won = at, is_won
            dispute.save(update_fields=["closed_at", "is_won"])
            if is_won:
                return_funds(payment, dispute, at)
            else:
                withdraw_credit(payment, dispute, at)
            audit.record(action="payment.dispute_closed", entity=payment, actor=payment.gateway, new={"is_won": is_won})
            events.dispute_closed.send(Payment, payment=payment, is_won=is_won, at=at)
    return dispute


def open_dispute(payment: Payment, gateway_dispute: GatewayDispute, at: datetime) -> Dispute:
    """Record that the bank took the money."""
    amount = gateway_dispute.amount
    dispute = Dispute.objects.create(
        organization_id=payment.organization_id,
        payment=payment,
        reference=gateway_dispute.reference,
        amount_minor=amount.minor,
        currency=amount.currency,
        reason=gateway_dispute.reason,
        opened_at=gateway_dispute.opened_at,
    )
    clearing = ledger.account_of(AccountKind.CLEARING, amount.currency, payment.gateway)
    disputed = ledger.account_of(AccountKind.DISPUTES, amount.currency)
    ledger.post_entry(
        kind=EntryKind.DISPUTE,
        reference=f"dispute:{dispute.reference}",
        lines=ledger.transfer(disputed, clearing, amount),
        organization=payment.organization,
        source=dispute,
        at=at,
    )
    payment.state = PaymentState.DISPUTED
    payment.save(update_fields=["state"])
    audit.record(action="payment.dispute", entity=payment, actor=payment.gateway, new={"reason": dispute.reason})
    events.payment_disputed.send(Payment, payment=payment, at=at)
    return dispute


def withdraw_credit(payment: Payment, dispute: Dispute, at: datetime) -> None:
    """The dispute is lost: what the money still stood for, credit in a wallet or money under review, goes too."""
    if refunds.is_spent(payment) or dispute.currency != payment.received.currency:
        return
    disputed = ledger.account_of(AccountKind.DISPUTES, dispute.currency)
    ledger.post_entry(
        kind=EntryKind.DISPUTE_LOST,
        reference=f"dispute_lost:{dispute.reference}",
        lines=refunds.lines_back(payment, disputed, dispute.amount),
        organization=payment.organization,
        source=dispute,
        at=at,
    )


def return_funds(payment: Payment, dispute: Dispute, at: datetime) -> None:
    """The dispute is won: the money is here again, and the payment as before once no other dispute is open or lost."""
    ledger.reverse_entry(
        kind=EntryKind.DISPUTE_WON,
        reference=f"dispute_won:{dispute.reference}",
        of=f"dispute:{dispute.reference}",
        at=at,
    )
    if not payment.disputes.exclude(is_won=True).exists():
        payment.state = payment.settled_state if payment.refundable else PaymentState.REFUNDED
        payment.save(update_fields=["state"])
