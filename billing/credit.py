"""The wallet's credit beside a card: credit pays what it can of an invoice, and the payment asks for the rest."""

from datetime import datetime
from uuid import UUID

from billing import gateway_accounts, invoicing, ledger, payments
from billing.gateways.abilities import MinAmount
from billing.gateways.base import driver_for
from billing.models import AccountKind, InvoiceState, LedgerAccount, Payment
from core import tenancy
from core.money import Money, payable_step


def has_credit(payment: Payment) -> bool:
    """Whether the wallet could pay a part of it."""
    wallets = LedgerAccount.objects.filter(kind=AccountKind.WALLET, organization=payment.organization_id)
    return wallets.filter(currency=payment.currency, balance_minor__gt=0).exists()


def use_credit(*, payment_id: UUID, at: datetime) -> bool:
    """Let the wallet's credit pay what it can of an open payment's invoice; whether that paid all of it.

    Credit for a part is reserved until the payment is made or over. It is used before the payment's session is
    requested, which shows the amount, and not where the gateway renews: that charges its own prices. Twice is harmless.
    """
    with tenancy.as_worker():
        # Read before any lock: it reads every account and its keys.
        least = least_amount(Payment.objects.select_related("invoice").get(pk=payment_id))
        payment = payments.lock_payment(payment_id)
        invoice = payment.invoice
        if invoice is None or invoice.state == InvoiceState.PAID:
            return invoice is not None
        is_asked_for = payment.session_requested_at is not None or payment.credit_minor > 0
        if is_asked_for or not payment.is_open(at) or gateway_accounts.gateway_billed(invoice.pk).exists():
            return False
        wallet = ledger.lock_wallet(payment.organization, payment.currency)
        balance = Money(wallet.balance_minor, wallet.currency)
        if balance >= payment.amount:
            invoicing.pay_from_wallet(invoice=invoice, at=at)
            invoicing.expire_open_payments(invoice=invoice, at=at)
            return True
        usable = min(balance, payment.amount - least).minor
        payment.credit_minor = usable - usable % payable_step(payment.currency).minor
        if payment.credit_minor > 0:
            payment.amount_minor -= payment.credit_minor
            payment.save(update_fields=["credit_minor", "amount_minor"])
            ledger.reserve_credit(payment, wallet, at=at)
    return False


def least_amount(payment: Payment) -> Money:
    """What must be left to pay, so that every gateway takes it by which the customer can choose to pay."""
    accounts = gateway_accounts.accounts_of(payment.invoice) if payment.invoice else []
    drivers = [driver_for(account) for account in accounts]
    least = [driver.min_amount(payment.currency) for driver in drivers if isinstance(driver, MinAmount)]
    return max(least, default=Money(1, payment.currency))
