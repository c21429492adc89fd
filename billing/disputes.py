"""Disputes: a bank took the money back, and returns it when the dispute is won, even on appeal."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q

from billing import allocations, events, ledger, payments, subscriptions
from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.ledger import EntryLine
from billing.models import AccountKind, Dispute, EntryKind, Invoice, InvoiceState, Payment, PaymentAllocation
from core import audit, tenancy
from core.money import Money

CLOSED = frozenset({DisputeStatus.WON, DisputeStatus.LOST})


def record_dispute(*, payment_id: UUID, gateway_dispute: GatewayDispute, at: datetime) -> Dispute | None:
    """Make our rows agree with a dispute at the gateway; the same state again changes nothing.

    None while no money was taken: an inquiry, or a dispute that was won before we knew of it.
    """
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        dispute = payment.disputes.filter(reference=gateway_dispute.reference).first()
        if dispute is None:
            if gateway_dispute.status in {DisputeStatus.INQUIRY, DisputeStatus.WON}:
                return None
            dispute = open_dispute(payment, gateway_dispute, at)
        if dispute.evidence_due_at != gateway_dispute.evidence_due_at:
            dispute.evidence_due_at = gateway_dispute.evidence_due_at
            dispute.save(update_fields=["evidence_due_at"])
        is_won = gateway_dispute.status is DisputeStatus.WON
        if gateway_dispute.status not in CLOSED or dispute.is_won is is_won:
            return dispute
        if (was_won := dispute.is_won) is None:
            release_credit(dispute, at)
        dispute.closed_at, dispute.is_won = at, is_won
        dispute.save(update_fields=["closed_at", "is_won"])
        if is_won:
            if was_won is False:
                undo_loss(payment, dispute, at)
            ledger.reverse_entry(
                kind=EntryKind.DISPUTE_WON,
                reference=next_reference(dispute, EntryKind.DISPUTE_WON),
                of=dispute.entries.filter(kind=EntryKind.DISPUTE).latest("id").reference,
                at=at,
            )
        else:
            if was_won:  # won, and lost after all: the money went again
                take_funds(payment, dispute, at)
            record_loss(payment, dispute, at)
        payment.state = payments.received_state(payment)
        payment.save(update_fields=["state", "lost_minor"])
        new = {"is_won": is_won}
        audit.record(action="payment.dispute_closed", entity=payment, actor=payment.gateway, new=new, at=at)
        if is_won:
            events.funds_reinstated.send(Invoice, invoice_ids=invoices_of(payment), at=at)
        else:
            stop_what_it_paid(payment, at)
    return dispute


def stop_what_it_paid(payment: Payment, at: datetime) -> None:
    """The payment is lost for good: what it paid is charged and renewed no more, and is held.

    Where credit of it was spent, the organization owes that, and what it paid with credit is held as well.
    """
    invoices, reason = invoices_of(payment), events.StopReason.DISPUTE_LOST
    if not payment.refundable:
        subscriptions.end_charging_of(payment=payment, reason=reason, at=at)
    subscriptions.stop_renewal(of=Q(invoice_items__invoice__in=invoices), reason=reason, at=at)
    allocations.close_lost_invoices(payment, at=at)
    lost = Q(pk__in=invoices)
    if owed := ledger.owed_by(payment.organization, payment.received.currency):
        going_on = Q(invoice__items__subscription__status__in=subscriptions.GOING_ON)
        by_credit = PaymentAllocation.objects.filter(
            going_on, payment=None, organization=payment.organization, currency=owed.currency
        )
        lost |= Q(pk__in=by_credit.values("invoice"))
    still_paid = Invoice.objects.filter(lost, state=InvoiceState.PAID).values_list("pk", flat=True)
    events.funds_withdrawn.send(Invoice, invoice_ids=list(still_paid), reason="dispute lost", at=at)


def open_dispute(payment: Payment, gateway_dispute: GatewayDispute, at: datetime) -> Dispute:
    """Record that the bank took the money."""
    dispute = Dispute.objects.create(
        organization_id=payment.organization_id,
        payment=payment,
        gateway=payment.gateway,
        is_live=payment.is_live,
        reference=gateway_dispute.reference,
        amount_minor=gateway_dispute.amount.minor,
        currency=gateway_dispute.amount.currency,
        reason=gateway_dispute.reason,
        opened_at=gateway_dispute.opened_at,
        evidence_due_at=gateway_dispute.evidence_due_at,
    )
    take_funds(payment, dispute, at)
    if gateway_dispute.status not in CLOSED:
        reserve_credit(payment, dispute, at)
    payment.state = payments.received_state(payment)
    payment.save(update_fields=["state"])
    audit.record(action="payment.dispute", entity=payment, actor=payment.gateway, new={"reason": dispute.reason}, at=at)
    events.funds_withdrawn.send(Invoice, invoice_ids=invoices_of(payment), reason="payment disputed", at=at)
    return dispute


def invoices_of(payment: Payment) -> list[UUID]:
    """The ids of the invoices that the payment paid."""
    return list(Invoice.objects.filter(allocations__payment=payment).values_list("pk", flat=True).distinct())


def take_funds(payment: Payment, dispute: Dispute, at: datetime) -> None:
    """Post what the bank took."""
    clearing = ledger.account_of(AccountKind.CLEARING, dispute.currency, payment.gateway)
    disputed = ledger.account_of(AccountKind.DISPUTES, dispute.currency)
    ledger.post_entry(
        kind=EntryKind.DISPUTE,
        reference=next_reference(dispute, EntryKind.DISPUTE),
        lines=ledger.transfer(disputed, clearing, dispute.amount),
        organization=payment.organization,
        source=dispute,
        at=at,
    )


def reserve_credit(payment: Payment, dispute: Dispute, at: datetime) -> None:
    """What is left of the disputed money in the wallet is spent by nobody until the bank has decided."""
    origin = allocations.origin_of(payment, at_stake(payment, dispute))
    if unspent := origin.credit - origin.owed:
        wallet, reserved = (
            ledger.organization_account(kind, payment.organization, unspent.currency)
            for kind in (AccountKind.WALLET, AccountKind.RESERVED_CREDIT)
        )
        ledger.post_entry(
            kind=EntryKind.DISPUTE_RESERVED,
            reference=next_reference(dispute, EntryKind.DISPUTE_RESERVED),
            lines=ledger.transfer(wallet, reserved, unspent),
            organization=payment.organization,
            source=dispute,
            at=at,
        )


def release_credit(dispute: Dispute, at: datetime) -> None:
    """The bank has decided: what was set aside pays what is owed, and is in the wallet again, where a loss takes it."""
    if reserved := dispute.entries.filter(kind=EntryKind.DISPUTE_RESERVED).first():
        ledger.reverse_entry(
            kind=EntryKind.DISPUTE_RELEASED,
            reference=next_reference(dispute, EntryKind.DISPUTE_RELEASED),
            of=reserved.reference,
            at=at,
        )


def at_stake(payment: Payment, dispute: Dispute) -> Money:
    """What the dispute can still take of the payment: of one in another currency, all that is left."""
    left = payment.refundable
    untaken = dispute.amount - Money(dispute.lost_minor, dispute.currency)
    return min(left, untaken) if dispute.currency == left.currency else left


def record_loss(payment: Payment, dispute: Dispute, at: datetime) -> None:
    """The dispute is lost: credit or money under review goes too, and what was paid with the rest has lost its money.

    The caller saves the payment and then closes its invoices (`allocations.close_lost_invoices`).
    Where a refund had taken the money already, the dispute takes it when the refund fails.
    """
    lost = at_stake(payment, dispute)
    if not lost:
        return
    origin = allocations.origin_of(payment, lost)
    allocations.reverse(origin, dispute=dispute, at=at)
    disputed = ledger.account_of(AccountKind.DISPUTES, lost.currency)
    lines: list[EntryLine] = []
    if origin.under_review:
        lines += ledger.transfer(ledger.account_of(AccountKind.SUSPENSE, lost.currency), disputed, origin.under_review)
    if origin.credit:
        lines += ledger.withdraw(payment.organization, disputed, origin.credit)
    if lines:
        ledger.post_entry(
            kind=EntryKind.DISPUTE_LOST,
            reference=next_reference(dispute, EntryKind.DISPUTE_LOST),
            lines=lines,
            organization=payment.organization,
            source=dispute,
            at=at,
        )
    payment.lost_minor += lost.minor
    dispute.lost_minor += lost.minor
    dispute.save(update_fields=["lost_minor"])


def undo_loss(payment: Payment, dispute: Dispute, at: datetime) -> None:
    """A dispute that was lost is won on appeal: what was taken for it is given back."""
    payment.lost_minor -= dispute.lost_minor
    dispute.lost_minor = 0
    dispute.save(update_fields=["lost_minor"])
    for loss in dispute.entries.filter(kind=EntryKind.DISPUTE_LOST).order_by("id"):
        reference = f"dispute_appealed:{loss.reference}"
        if not dispute.entries.filter(reference=reference).exists():  # of an earlier appeal
            reversal = ledger.reverse_entry(
                kind=EntryKind.DISPUTE_APPEALED, reference=reference, of=loss.reference, at=at
            )
            allocations.release_accepted(payment, reversal, at)
    undone = allocations.undo_reversals(dispute.allocation_reversals.all(), reason="dispute won", at=at)
    allocations.reinstate_invoices(undone, at=at)


def next_reference(dispute: Dispute, kind: EntryKind) -> str:
    """The reference of the dispute's next entry of a kind; a second one follows an appeal."""
    count = dispute.entries.filter(kind=kind).count()
    return f"{kind}:{dispute.reference}" + (f":{count + 1}" if count else "")
