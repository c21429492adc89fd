"""The wallet's credit beside a card: credit pays what it can of an invoice, and the payment asks for the rest."""

from datetime import datetime
from uuid import UUID

from billing import gateway_accounts, invoicing, ledger, payments
from billing.gateways.abilities import MinAmount
from billing.gateways.base import driver_for
from billing.models import AccountKind, Invoice, InvoiceState, LedgerAccount, Payment
from core import tenancy
from core.money import Money, payable_step


def balance_of(organization_id: UUID, currency: str) -> Money:
    """The credit in the wallet, also promotional. What is reserved for open payments is not in it."""
    wallets = LedgerAccount.objects.filter(kind=AccountKind.WALLET, organization=organization_id, currency=currency)
    wallet = wallets.first()
    return wallet.spendable if wallet else Money.zero(currency)


def usable_credit(total: Money, *, balance: Money, least: Money, is_auto_renewed: bool) -> Money:
    """What of the total is paid by credit. It pays all of it, or leaves at least what a gateway takes (`least`).

    What renews automatically is never paid by credit alone: the payment of the rest saves the method that is charged
    for the next period.
    """
    if balance >= total and not is_auto_renewed:
        return total
    usable = max(0, min(balance, total - least).minor)
    return Money(usable - usable % payable_step(total.currency).minor, total.currency)


def expected_credit(invoice: Invoice) -> Money:
    """What `use_credit` would take now for a payment of the invoice; nothing where the gateway renews."""
    balance = balance_of(invoice.organization_id, invoice.currency)
    with tenancy.as_worker(invoice):
        if not balance or gateway_accounts.gateway_billed(invoice.pk).exists():
            return Money.zero(invoice.currency)
        is_auto_renewed = gateway_accounts.is_auto_renewed(invoice)
    least = least_amount(invoice.currency, is_auto_renewed=is_auto_renewed)
    return usable_credit(invoice.total, balance=balance, least=least, is_auto_renewed=is_auto_renewed)


def use_credit(*, payment: Payment, at_most: Money, at: datetime) -> bool:
    """Let the wallet's credit pay what it can of an open payment's invoice; whether that paid all of it.

    Credit for a part is reserved until the payment is made or over. It is used before the payment's session is
    requested, which shows the amount, and not where the gateway renews: that charges its own prices. Twice is harmless.
    Never more than `at_most`, which is what the customer was told: the wallet may have grown since.
    """
    with tenancy.as_worker(payment):
        invoice = Payment.objects.select_related("invoice").get(pk=payment.pk).invoice
        if invoice is None:
            return False
        is_auto_renewed = gateway_accounts.is_auto_renewed(invoice)
    # Read before anything is locked: it reads the accounts and decrypts their keys.
    least = least_amount(invoice.currency, is_auto_renewed=is_auto_renewed)
    with tenancy.as_worker(payment):
        payment = payments.lock_payment(payment.pk)
        invoice = payment.invoice
        if invoice is None or invoice.state == InvoiceState.PAID:
            return invoice is not None
        is_charge = payment.payment_method_id is not None
        is_asked_for = is_charge or payment.session_requested_at is not None or payment.credit_minor > 0
        if is_asked_for or not payment.is_open(at) or gateway_accounts.gateway_billed(invoice.pk).exists():
            return False
        if invoicing.has_money_under_way(invoice):
            return False
        wallet = ledger.lock_wallet(payment.organization, payment.currency)
        balance = min(wallet.spendable, at_most)
        usable = usable_credit(payment.amount, balance=balance, least=least, is_auto_renewed=is_auto_renewed)
        if usable == payment.amount:
            invoicing.pay_from_wallet(invoice=invoice, at=at)
            invoicing.expire_open_payments(invoice=invoice, at=at)
            return True
        if usable:
            payment.credit_minor = usable.minor
            payment.amount_minor -= usable.minor
            payment.save(update_fields=["credit_minor", "amount_minor"])
            ledger.reserve_credit(payment, wallet, at=at)
    return False


def least_amount(currency: str, *, is_auto_renewed: bool) -> Money:
    """What must be left to pay, so that every gateway takes it by which the customer can choose to pay."""
    accounts = gateway_accounts.accounts_for(currency=currency, is_auto_renewed=is_auto_renewed)
    drivers = [driver_for(account) for account in accounts]
    least = [driver.min_amount(currency) for driver in drivers if isinstance(driver, MinAmount)]
    return max(least, default=Money(1, currency))
