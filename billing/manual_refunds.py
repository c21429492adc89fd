"""Refunds at a gateway that cannot be asked for them: made there by hand by our staff, or by the gateway's."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from uuid import UUID

from django.db import IntegrityError

from billing import payments, refunds, unexplained
from billing.gateways.base import GatewayRefund, ObjectRef, ObjectType, RefundStatus
from billing.gateways.reconciling import ListedObject
from billing.models import Payment, Refund
from billing.refunds import REFUNDABLE, NotRefundable
from core import audit, tenancy
from core.money import Money


class AlreadyRecorded(NotRefundable):
    """A refund with this reference is recorded."""


def record_manual_refund(
    *, payment: Payment, amount: Money, reference: str, sent_on: date, reason: str, actor: object, at: datetime
) -> Refund:
    """Book money that staff sent back at the gateway, as if the gateway had reported it.

    `reference` is what the gateway calls the transfer: each is recorded once, also by two at the same moment. Raises
    NotRefundable, such as AlreadyRecorded, and then nothing is written.
    """
    with tenancy.as_worker():
        row = payments.lock_payment(payment.pk)
        if refunds.sends_refunds(row.gateway):
            raise NotRefundable(f"gateway {row.gateway} is asked for its refunds")
        if row.state not in REFUNDABLE:
            raise NotRefundable(f"a payment that is {row.state} is not refunded")
        left = row.refundable
        if amount.currency != left.currency or not 0 < amount.minor <= left.minor:
            raise NotRefundable(f"{amount} of {left} cannot be refunded")
        sent_at = datetime.combine(sent_on, time.min, UTC)
        if sent_at > at or (row.settled_at is not None and sent_on < row.settled_at.date()):
            raise NotRefundable(f"{sent_on} is not between the payment and today")
        if Refund.objects.filter(gateway=row.gateway, transaction_id=reference).exists():
            raise AlreadyRecorded(f"the refund {reference} is recorded already")
        sent = GatewayRefund(reference, row.transaction_id or "", amount, RefundStatus.SUCCEEDED)
        try:
            refunds.record_refund(payment_id=row.pk, gateway_refund=sent, reason=reason, at=at)
        except IntegrityError as error:  # somebody recorded it of another payment since we looked
            if not Refund.objects.filter(gateway=row.gateway, transaction_id=reference).exists():
                raise
            raise AlreadyRecorded(f"the refund {reference} is recorded already") from error
        refund = row.refunds.get(transaction_id=reference)
        refund.settled_at = sent_at
        refund.save(update_fields=["settled_at"])
        new = {"amount_minor": amount.minor, "currency": amount.currency, "reference": reference, "reason": reason}
        audit.record(action="payment.manual_refund", entity=row, actor=actor, new=new, at=at)
    return refund


def record_reported_refund(*, payment_id: UUID, gateway_refund: GatewayRefund, at: datetime) -> None:
    """Book a refund that a gateway reports which we never ask for any, less what staff recorded of it by hand.

    What the gateway says that went back beyond the payment is unexplained, and staff look. The same again changes
    nothing.
    """
    with tenancy.as_worker():
        row = payments.lock_payment(payment_id)
        left = Money(row.received_minor - row.refunded_minor, row.received.currency)
        is_known = row.refunds.filter(transaction_id=gateway_refund.reference).exists()
        if not is_known and gateway_refund.amount > left:
            beyond = gateway_refund.amount - left
            listed = ListedObject(ObjectRef(ObjectType.REFUND, gateway_refund.reference), "", beyond, at)
            note = f"it was sent back by payment {row.pk}, of which staff had recorded refunds by hand"
            unexplained.record_unexplained(gateway=row.gateway, listed=listed, note=note)
            gateway_refund = replace(gateway_refund, amount=left)
        if gateway_refund.amount:
            refunds.record_refund(payment_id=row.pk, gateway_refund=gateway_refund, at=at)
