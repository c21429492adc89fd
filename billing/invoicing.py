"""Invoices: drafted, then issued under a gapless number and paid from the wallet in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Least

from accounts.models import Organization
from billing import events, ledger, subscriptions
from billing.models import (
    AccountKind,
    EntryKind,
    Invoice,
    InvoiceItem,
    InvoiceSeries,
    InvoiceState,
    ItemKind,
    PaymentState,
    Subscription,
    SubscriptionItem,
)
from billing.periods import Period
from catalog.models import AddonPrice, PlanPrice
from core import tenancy
from core.money import Money, total

SERIES = "NB"
UNPAID = frozenset({InvoiceState.DRAFT, InvoiceState.OPEN, InvoiceState.OVERDUE, InvoiceState.EXPIRED})
ADDRESS = ("billing_name", "billing_email", "address_line", "postal_code", "city", "region", "country", "tax_id")


class NotEnough(Exception):
    """The wallet holds less than the invoice's total."""


@dataclass(frozen=True)
class InvoiceLine:
    """A line of a quote or of an invoice: `unit` times `quantity`. Lines that do not recur are paid once.

    A quote knows the catalog's `price`; an invoice adds the subscription, its item and the period.
    """

    kind: ItemKind
    description: str
    unit: Money
    quantity: int = 1
    is_recurring: bool = True
    price: PlanPrice | AddonPrice | None = None
    subscription: Subscription | None = None
    subscription_item: SubscriptionItem | None = None
    period: Period | None = None

    @property
    def amount(self) -> Money:
        """Quantity times unit price."""
        return self.unit * self.quantity


def draft_invoice(*, organization: Organization, currency: str, lines: Sequence[InvoiceLine], at: datetime) -> Invoice:
    """A draft over the lines; it gets its number when it is issued. CurrencyMismatch where a line differs."""
    with tenancy.as_worker():
        invoice = Invoice.objects.create(
            organization=organization,
            series_id=SERIES,
            currency=currency,
            total_minor=total((line.amount for line in lines), currency).minor,
            created_at=at,
        )
        InvoiceItem.objects.bulk_create(_item(invoice, line, position) for position, line in enumerate(lines))
    return invoice


def _item(invoice: Invoice, line: InvoiceLine, position: int) -> InvoiceItem:
    return InvoiceItem(
        invoice=invoice,
        organization_id=invoice.organization_id,
        kind=line.kind,
        description=line.description[:255],
        quantity=line.quantity,
        unit_minor=line.unit.minor,
        amount_minor=line.amount.minor,
        currency=line.unit.currency,
        subscription=line.subscription,
        subscription_item=line.subscription_item,
        period_start=line.period.start if line.period else None,
        period_end=line.period.end if line.period else None,
        position=position,
    )


def locked(invoice_id: UUID) -> Invoice:
    """The invoice under its row lock; the caller holds a transaction."""
    rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("organization")
    return rows.get(pk=invoice_id)


def issue_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Give the invoice its number and freeze who it is addressed to. Calling it twice is harmless.

    The series' row stays locked until the transaction ends, so a number whose transaction fails is used again.
    """
    with tenancy.as_worker():
        row = locked(invoice.pk)
        if row.number is None:
            row.billing_address = {name: getattr(row.organization, name) for name in ADDRESS}
            row.number, row.issued_at, row.state = _next_number(row.series_id, at), at, InvoiceState.OPEN
            row.save(update_fields=["number", "issued_at", "state", "billing_address"])
    return row


def _next_number(code: str, at: datetime) -> str:
    series = InvoiceSeries.objects.select_for_update(no_key=True).get(pk=code)
    InvoiceSeries.objects.filter(pk=code).update(next_number=F("next_number") + 1)
    return series.pattern.format(year=at.year, number=series.next_number)


def pay_from_wallet(*, invoice: Invoice, first_period: Period | None = None, at: datetime) -> Invoice:
    """Issue the invoice and pay it from the wallet, begin or move on what it is for, and tell. Twice is harmless.

    `first_period` is the first period as the billing_mode bills it; else it begins at `at`. Raises NotEnough.
    """
    with tenancy.as_worker():
        row = locked(invoice.pk)
        if row.state not in UNPAID:
            return row
        for subscription in Subscription.objects.filter(invoice_items__invoice=row).distinct():
            _begin_or_move_on(row, subscription, first_period, at)
        row = issue_invoice(invoice=row, at=at)
        _charge(row, at)
        row.state, row.paid_at = InvoiceState.PAID, at
        row.save(update_fields=["state", "paid_at"])
        events.invoice_paid.send(Invoice, invoice=row, at=at)
    return row


def pay_free_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Settle an invoice over nothing. ValueError when there is something to pay."""
    if invoice.total_minor:
        raise ValueError(f"{invoice} is not free")
    return pay_from_wallet(invoice=invoice, at=at)


def _begin_or_move_on(invoice: Invoice, subscription: Subscription, first: Period | None, at: datetime) -> None:
    """Items drafted with a period renew; the others are a subscription's first, and get its period now."""
    items = invoice.items.filter(subscription=subscription).exclude(kind=ItemKind.SETUP)
    billed = items.filter(period_start__isnull=False).first()
    if billed is not None and billed.period_start and billed.period_end:
        period = Period(billed.period_start, billed.period_end)
        subscriptions.advance(subscription=subscription, period=period, at=at)
        return
    period = subscriptions.activate(subscription=subscription, period=first, at=at)
    items.update(period_start=period.start, period_end=period.end)


def _charge(invoice: Invoice, at: datetime) -> None:
    if not invoice.total:
        return
    wallet = ledger.wallet_of(invoice.organization, invoice.currency)
    held = type(wallet).objects.select_for_update(no_key=True).get(pk=wallet.pk)
    if held.balance_minor < invoice.total_minor:
        raise NotEnough(f"the wallet holds less than invoice {invoice} asks for")
    revenue = ledger.account_of(AccountKind.REVENUE, invoice.currency)
    ledger.enter(
        kind=EntryKind.CHARGE,
        reference=f"invoice:{invoice.pk}",
        lines=ledger.transfer(wallet, revenue, invoice.total),
        organization=invoice.organization,
        at=at,
    )


def void_draft(*, invoice: Invoice, at: datetime) -> bool:
    """Drop an invoice that nobody will pay, and have its payment page closed soon; False when it was issued.

    Money that arrives all the same still pays it.
    """
    with tenancy.as_worker():
        row = locked(invoice.pk)
        if row.state != InvoiceState.DRAFT:
            return False
        row.state = InvoiceState.EXPIRED
        row.save(update_fields=["state"])
        row.payments.filter(state=PaymentState.PENDING).update(expires_at=Least(F("expires_at"), at), poll_at=at)
    return True
