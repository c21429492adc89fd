"""An organization that ordered something and has not paid yet: what most tests of billing begin with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils import timezone

from accounts.models import Organization
from billing import checkout, invoicing, payments, refunds, reviews, subscriptions
from billing.gateways.base import GatewayPayment, GatewayRefund, RefundStatus
from billing.invoicing import InvoiceLine
from billing.models import (
    AccountKind,
    BillingMode,
    Invoice,
    ItemKind,
    LedgerAccount,
    Payment,
    Posting,
    Refund,
    Subscription,
    SubscriptionItem,
)
from catalog.models import AddonPrice, PlanPrice
from core import work
from core.money import Money, Rate
from sandbox.client import Sandbox
from tests.builders import make_organization, make_price

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONEY = Money(800, "USD")
GATEWAY = "stripe"


@dataclass(frozen=True)
class Sale:
    """One order's rows in billing: subscription, invoice draft, payment."""

    organization: Organization
    subscription: Subscription
    invoice: Invoice
    payment: Payment

    def gateway_payment(self, **changes: Any) -> GatewayPayment:
        """Exactly what was asked for, unless the test changes something."""
        expected: dict[str, Any] = {
            "transaction_id": f"pi_{self.payment.pk}",
            "amount": self.payment.amount,
            "is_live": False,
            "payment_id": self.payment.pk,
            "organization_id": self.organization.pk,
            "method_label": "Visa ending 4242",
        }
        return GatewayPayment(**(expected | changes))

    def settle(self, at: datetime = NOON, **changes: Any) -> Payment:
        """Let the money arrive."""
        gateway_payment = self.gateway_payment(**changes)
        return payments.settle(payment_id=self.payment.pk, gateway_payment=gateway_payment, at=at)

    @property
    def expires_at(self) -> datetime:
        """When the time to pay is over."""
        assert self.payment.expires_at is not None
        return self.payment.expires_at

    def reloaded(self) -> "Sale":
        """The same sale with its payment read again."""
        return replace(self, payment=self.payment.reload())

    def reopened(self, at: datetime | None = None) -> "Sale":
        """The same sale with the payment that is open now."""
        now = at or timezone.now()
        until = now + timedelta(minutes=45)
        payment = payments.open_payment(invoice=self.invoice, gateway=GATEWAY, expires_at=until, at=now)
        return replace(self, payment=payment)

    def create_session(self, at: datetime | None = None) -> str:
        """The address of the payment's checkout session."""
        return checkout.create_session(
            payment=self.payment,
            success_url="https://shop.example/done",
            cancel_url="https://shop.example/back",
            at=at or timezone.now(),
        )


def make_sale(
    *,
    minor: int = 800,
    currency: str = "USD",
    at: datetime = NOON,
    price: PlanPrice | None = None,
    organization: Organization | None = None,
    billing_mode: BillingMode = BillingMode.SELF,
    setup_minor: int = 0,
    gateway: str = GATEWAY,
    is_auto_renewed: bool = True,
    addon_prices: Sequence[AddonPrice] = (),
    discounts: Sequence[subscriptions.SoldDiscount] = (),
) -> Sale:
    """An unpaid sale of one monthly plan, with its payment open for 45 minutes."""
    organization = organization or make_organization()
    subscription = subscriptions.open_subscription(
        organization=organization,
        plan_price=price or make_price(minor=minor, currency=currency),
        addon_prices=addon_prices,
        discounts=discounts,
        billing_mode=billing_mode,
        is_auto_renewed=is_auto_renewed,
        at=at,
    )
    lines = [item_line(item) for item in subscription.items.select_related("subscription")]
    if setup_minor:
        lines.append(InvoiceLine(ItemKind.SETUP, "Setup", Money(setup_minor, currency), subscription=subscription))
    invoice = invoicing.draft_invoice(organization=organization, currency=currency, lines=lines, at=at)
    payment = payments.open_payment(
        invoice=invoice,
        gateway=gateway,
        expires_at=at + timedelta(minutes=45),
        at=at,
    )
    return Sale(organization, subscription, invoice, payment)


def plan_line(subscription: Subscription, **fields: Any) -> InvoiceLine:
    """The invoice line of the subscription's plan."""
    return item_line(subscription.items.get(kind=ItemKind.PLAN), **fields)


def item_line(item: SubscriptionItem, **fields: Any) -> InvoiceLine:
    """The invoice line of an item of a subscription."""
    return InvoiceLine(
        kind=ItemKind(item.kind),
        description="Minecraft 1 GB",
        unit=Rate(item.unit_minor, item.currency),
        subscription=item.subscription,
        subscription_item=item,
        **fields,
    )


def balance(kind: AccountKind, currency: str = "USD") -> int:
    """The sum of all postings on the accounts of a kind, in minor units."""
    rows = Posting.objects.filter(account__kind=kind, currency=currency)
    return sum(rows.values_list("amount_minor", flat=True))


def wallet_balance(organization: Organization, currency: str = "USD") -> int:
    """The running balance of the wallet; zero where there is none yet."""
    wallets = LedgerAccount.objects.filter(kind=AccountKind.WALLET, organization=organization, currency=currency)
    return wallets.values_list("balance_minor", flat=True).first() or 0


def run_commit_triggers() -> None:
    """Run what the commit would: deferred checks, and the numbering of invoices."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def run_due(at: datetime | None = None) -> int:
    """Perform the work that is due."""
    return work.run_due(at=at or timezone.now())


def transactions(sandbox: Sandbox) -> list[str]:
    """The ids of the PaymentIntents that took money, oldest first."""
    intents = sandbox.stripe_state().get("payment_intent", [])
    return [intent["id"] for intent in intents if intent["status"] == "succeeded"]


def make_draft(minor: int = 800) -> Invoice:
    """A draft over one line."""
    line = InvoiceLine(ItemKind.SETUP, "Setup", Money(minor, "USD"))
    return invoicing.draft_invoice(organization=make_organization(), currency="USD", lines=[line], at=NOON)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def draft(sale: Sale, minor: int) -> Invoice:
    """Another invoice of the organization that is not paid."""
    lines = [InvoiceLine(ItemKind.SETUP, "Setup", usd(minor))]
    return invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=lines, at=NOON)


def allocated(invoice: Invoice) -> list[tuple[Payment | None, int]]:
    """What paid the invoice, credit last."""
    return [(row.payment, row.amount_minor) for row in invoice.allocations.order_by(F("payment").asc(nulls_last=True))]


def accept(payment: Payment) -> Payment:
    """Accept a payment that is under review."""
    return reviews.accept_payment(payment_id=payment.pk, actor=None, at=NOON)


def refund(payment: Payment, minor: int, *, at: datetime = NOON) -> Refund:
    """A refund by staff that the gateway has made."""
    made = refunds.refund_payment(payment=payment, amount=usd(minor), reason="asked", actor=None, at=at)
    report_refund(made, RefundStatus.SUCCEEDED, at=at)
    return made.reload()


def report_refund(made: Refund, status: RefundStatus, *, at: datetime = NOON) -> None:
    """What the gateway says of a refund."""
    gateway_refund = GatewayRefund(
        f"re_{made.pk}", str(made.payment.transaction_id), made.amount, status, refund_id=made.pk
    )
    refunds.record_refund(payment_id=made.payment_id, gateway_refund=gateway_refund, at=at)
