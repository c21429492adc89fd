"""What becomes of money under review: staff accept it, or a task does once paying its invoice succeeds.

Staff can also refund it (`billing.refunds`). What puts money under review is in `billing.payments`.
"""

from datetime import datetime
from uuid import UUID

from billing import invoicing, ledger, payments, subscriptions
from billing.models import AccountKind, EntryKind, Payment, PaymentState, PaymentTask
from core import audit, tenancy


def accept_payment(*, payment_id: UUID, reason: str = "", actor: object, at: datetime) -> Payment:
    """Credit money under review to the customer's wallet, and pay the invoice from it if it suffices.

    A payment that is not under review is left as it is. One of which nothing is here is closed and pays nothing.
    """
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        if payment.state != PaymentState.UNDER_REVIEW:
            return payment
        payment.state, payment.accepted_at = PaymentState.SUCCEEDED, at
        payment.save()
        audit.record(
            action="payment.accept_payment",
            entity=payment,
            actor=actor,
            old={"review_reason": payment.review_reason},
            new={"reason": reason},
        )
        if payment.refundable:
            suspense = ledger.account_of(AccountKind.SUSPENSE, payment.received.currency)
            wallet = ledger.wallet_of(payment.organization, payment.received.currency)
            ledger.post_entry(
                kind=EntryKind.REVIEW_ACCEPTED,
                reference=f"review_accepted:{payment.pk}",
                lines=ledger.transfer(suspense, wallet, payment.refundable),
                organization=payment.organization,
                source=payment,
                at=at,
            )
            payments.pay_invoice_and_debt(payment, at)
            if payment.invoice is not None and payment.allocations.exists():
                invoicing.expire_open_payments(invoice=payment.invoice, at=at)
            for linked in payment.gateway_subscriptions.select_related("subscription"):
                subscriptions.choose_charging(subscription=linked.subscription, at=at)
    return payment


def pay_again(task: PaymentTask, *, at: datetime) -> None:
    """Accept money that is under review because paying its invoice failed. Raises what fails again.

    Where the invoice was paid or refunded otherwise, staff decide about the money.
    """
    payment = Payment.objects.select_related("invoice").get(pk=task.payment_id)
    if payment.invoice is None or payment.invoice.state in invoicing.UNPAID:
        accept_payment(payment_id=payment.pk, reason="paying the invoice again", actor=payment.gateway, at=at)
