"""What becomes of money under review: staff accept it, or a task does once paying its invoice succeeds.

Staff can also refund it (`billing.refunds`). What puts money under review is in `billing.payments`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing import invoicing, ledger, payments, subscriptions
from billing.models import AccountKind, EntryKind, LedgerAccount, Payment, PaymentState, PaymentTask
from core import audit, tenancy
from core.money import Money


@dataclass(frozen=True)
class Acceptance:
    """What accepting a payment does: `credited` goes to the wallet, which then pays `invoice`, and `debt` of the rest.

    `invoice` is zero where the wallet would not suffice. `other_credit` is its part that the payment does not pay.
    """

    credited: Money
    invoice: Money
    other_credit: Money
    debt: Money


def acceptance_of(payment: Payment) -> Acceptance:
    """What accepting the payment would do now; where its row and the wallet are locked, what it will do."""
    arrived, invoice = payment.refundable, payment.invoice
    credit: dict[str, Money] = {}
    promotional: dict[str, Money] = {}  # it pays invoices and no debt
    for wallet in LedgerAccount.objects.filter(kind=AccountKind.WALLET, organization=payment.organization_id):
        credit[wallet.currency] = Money(wallet.balance_minor, wallet.currency)
        promotional[wallet.currency] = Money(wallet.promotional_minor, wallet.currency)
    credit[arrived.currency] = credit.get(arrived.currency, Money.zero(arrived.currency)) + arrived
    paid = other_credit = Money.zero(arrived.currency)
    if arrived and invoice is not None and invoice.state in invoicing.UNPAID:
        nothing = Money.zero(invoice.currency)
        own, given = credit.get(invoice.currency, nothing), promotional.get(invoice.currency, nothing)
        if own + given >= invoice.total:
            paid = invoice.total
            by_payment = min(paid, arrived) if arrived.currency == paid.currency else nothing
            other_credit = paid - by_payment
            credit[paid.currency] = own - (paid - min(other_credit, given))
    owed = ledger.owed_by(payment.organization, arrived.currency) if arrived else Money.zero(arrived.currency)
    return Acceptance(arrived, paid, other_credit, min(owed, credit[arrived.currency]))


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
            at=at,
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
