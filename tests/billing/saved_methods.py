"""An organization with a saved card, and an invoice for its next month: what tests of charges begin with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Organization
from billing import customers, invoicing, ledger, payment_methods, saved_charges
from billing.gateways.base import SavedCard, driver_of
from billing.models import (
    AccountKind,
    EntryKind,
    GatewayCustomer,
    Invoice,
    Payment,
    PaymentMethod,
    Period,
    Subscription,
    next_period_end,
)
from billing.saved_charges import ChargeDecision
from core import tenancy
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale, plan_line
from tests.stripe_dashboard import write


@dataclass(frozen=True)
class Renewal:
    """An issued invoice for a running subscription's second month."""

    sale: Sale
    invoice: Invoice
    method: PaymentMethod

    @property
    def attempts(self) -> list[Payment]:
        """The attempts to charge it, oldest first."""
        return list(self.invoice.payments.filter(payment_method__isnull=False).order_by("created_at"))

    def request(self, at: datetime) -> ChargeDecision:
        """Ask for a charge."""
        return saved_charges.request_charge(invoice=self.invoice, at=at)


def make_renewal(*, at: datetime, card: str = "pm_card_visa", minor: int = 800) -> Renewal:
    """A month that was paid by money from elsewhere, the invoice for the next, and a saved card."""
    sale = make_sale(at=at, minor=minor)
    sale.settle(at)
    return Renewal(sale, renewal_invoice(sale.subscription.reload(), at), save_card(sale.organization, card))


def renewal_invoice(subscription: Subscription, at: datetime) -> Invoice:
    """The issued invoice for the subscription's next month."""
    start, anchor = subscription.current_period_end, subscription.anchor_day
    assert start is not None
    assert anchor is not None
    period = Period(start, next_period_end(start, subscription.term, anchor))
    lines = [plan_line(subscription, period=period)]
    draft = invoicing.draft_invoice(
        organization=subscription.organization, currency=subscription.currency, lines=lines, at=at
    )
    return invoicing.issue_invoice(invoice=draft, at=at)


def save_card(organization: Organization, card: str) -> PaymentMethod:
    """A card that the gateway saved for the organization, as our row."""
    customer = customers.ensure_customer(driver_of("stripe"), organization=organization, gateway="stripe")
    assert GatewayCustomer.objects.filter(reference=customer).exists()
    params: Any = {"customer": customer}
    method: Any = write("attach", lambda stripe: stripe.v1.payment_methods.attach(card, params))
    saved = SavedCard(method.id, method.card.brand, method.card.last4, None)
    with tenancy.as_worker():
        payment_methods.save_method(organization=organization, gateway="stripe", is_live=False, card=saved)
    return PaymentMethod.objects.get(reference=method.id)


def put_credit(renewal: Renewal, minor: int, at: datetime) -> None:
    """Credit in the wallet, from nowhere in particular."""
    with tenancy.as_worker():
        amount = Money(minor, "USD")
        wallet = ledger.lock_wallet(renewal.sale.organization, "USD")
        clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
        ledger.post_entry(
            kind=EntryKind.PAYMENT,
            reference=f"test:{at.isoformat()}",
            lines=ledger.transfer(clearing, wallet, amount),
            organization=renewal.sale.organization,
            source=renewal.sale.payment,
            at=at,
        )


def intents(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every PaymentIntent at Stripe."""
    return sandbox.stripe_state().get("payment_intent", [])


def statuses(sandbox: Sandbox) -> list[str]:
    """The statuses of Stripe's PaymentIntents, oldest first."""
    return [intent["status"] for intent in intents(sandbox)]
