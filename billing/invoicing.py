"""Invoices: drafted, then issued and paid from the wallet in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce, Least

from accounts.models import Organization
from billing import events, ledger, subscriptions
from billing.ledger import EntryLine
from billing.models import (
    PERIOD_KINDS,
    AccountKind,
    EntryKind,
    Invoice,
    InvoiceItem,
    InvoiceSeries,
    InvoiceState,
    ItemKind,
    Payment,
    PaymentAllocation,
    PaymentState,
    Period,
    Subscription,
    SubscriptionItem,
)
from catalog.models import AddonPrice, PlanPrice
from core import audit, tenancy
from core.money import Money, Rate, total

UNPAID = frozenset({InvoiceState.DRAFT, InvoiceState.OPEN, InvoiceState.OVERDUE, InvoiceState.EXPIRED})
VOIDABLE = frozenset({InvoiceState.OPEN, InvoiceState.OVERDUE})
MONEY_UNDER_WAY = frozenset({PaymentState.PROCESSING, PaymentState.UNDER_REVIEW})
ADDRESS = ("billing_name", "billing_email", "address_line", "postal_code", "city", "region", "country", "tax_id")


class NotVoidable(ValueError):
    """The invoice is paid, was never issued, or money for it is on its way; the text says which."""


class InsufficientBalance(Exception):
    """The wallet's balance is less than the invoice's total."""


@dataclass(frozen=True)
class InvoiceLine:
    """A line of a quote or of an invoice: `quantity` times `unit`, rounded once. Lines that do not recur are paid once.

    A quote knows the catalog's `price`; an invoice adds the subscription, its item and the period.
    """

    kind: ItemKind
    description: str
    unit: Money | Rate
    quantity: Decimal | int = 1
    is_recurring: bool = True
    price: PlanPrice | AddonPrice | None = None
    subscription: Subscription | None = None
    subscription_item: SubscriptionItem | None = None
    period: Period | None = None

    @property
    def amount(self) -> Money:
        """Quantity times unit price, rounded to a whole minor unit."""
        return Rate(Decimal(self.unit.minor), self.unit.currency).times(self.quantity)


def lock_invoice(invoice_id: UUID) -> Invoice:
    """The invoice under its row lock, the first in the lock order of ARCHITECTURE.md; the caller has a transaction."""
    rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("organization", "series")
    return rows.get(pk=invoice_id)


def lock_invoices(invoice_ids: Collection[UUID]) -> list[Invoice]:
    """Several invoices under their row locks, taken in the order of their ids; the caller holds a transaction."""
    rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("organization")
    return list(rows.filter(pk__in=invoice_ids).order_by("pk"))


def draft_invoice(*, organization: Organization, currency: str, lines: Sequence[InvoiceLine], at: datetime) -> Invoice:
    """A draft over the lines; it gets its number when it is issued. CurrencyMismatch where a line differs."""
    net = total((line.amount for line in lines), currency)
    with tenancy.as_worker():
        invoice = Invoice.objects.create(
            organization=organization,
            series=InvoiceSeries.objects.get(is_default=True),
            currency=currency,
            net_minor=net.minor,
            total_minor=net.minor,
            created_at=at,
        )
        InvoiceItem.objects.bulk_create(
            InvoiceItem(
                invoice=invoice,
                organization_id=organization.pk,
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
            for position, line in enumerate(lines)
        )
    return invoice


def issue_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Issue the invoice and freeze it with its seller and its billing address. Calling it twice is harmless.

    The database gives the number when the transaction commits: who needs it reads the invoice again afterwards.
    """
    with tenancy.as_worker():
        row = lock_invoice(invoice.pk)
        if row.issued_at is None:
            open_draft(row, at)
    return row


def open_draft(invoice: Invoice, at: datetime) -> None:
    """Issue a locked draft: it names its seller and its billing address as they are now."""
    invoice.transition_to(InvoiceState.OPEN)
    invoice.issued_at, invoice.seller = at, invoice.series.seller_details
    invoice.billing_address = {name: getattr(invoice.organization, name) for name in ADDRESS}
    invoice.save(update_fields=["issued_at", "state", "seller", "billing_address"])


def pay_from_wallet(
    *, invoice: Invoice, payment: Payment | None = None, first_period: Period | None = None, at: datetime
) -> Invoice:
    """Issue the invoice, pay it from the wallet, and begin or renew its subscriptions. Twice is harmless.

    It is allocated to the `payment` that has just come to the wallet for it, as far as that goes, else to credit.
    `first_period` is a subscription's first period as the gateway bills it; without it the period begins at `at`.
    Raises InsufficientBalance.
    """
    with tenancy.as_worker():
        row = lock_invoice(invoice.pk)
        if row.state not in UNPAID:
            return row
        for subscription in Subscription.objects.filter(invoice_items__invoice=row).distinct():
            begin_or_renew(row, subscription, first_period, at)
        if row.issued_at is None:
            open_draft(row, at)
        if row.total:
            wallet = ledger.lock_wallet(row.organization, row.currency)
            if wallet.balance_minor < row.total_minor:
                raise InsufficientBalance(f"the wallet's balance is less than the total of invoice {row.pk}")
            # The net amount is revenue; the tax is owed to the tax office.
            parts = ((AccountKind.REVENUE, row.net), (AccountKind.TAX, row.tax))
            earned = [EntryLine(ledger.account_of(kind, row.currency), amount) for kind, amount in parts if amount]
            ledger.post_entry(
                kind=EntryKind.CHARGE,
                reference=f"invoice:{row.pk}",
                lines=[EntryLine(wallet, -row.total), *earned],
                organization=row.organization,
                source=row,
                at=at,
            )
        allocate(invoice=row, payment=payment, at=at)
        row.transition_to(InvoiceState.PAID)
        row.paid_at = at
        row.save(update_fields=["state", "paid_at"])
        events.invoices_paid.send(Invoice, invoice_ids=[row.pk], at=at)
    return row


def begin_or_renew(invoice: Invoice, subscription: Subscription, first_period: Period | None, at: datetime) -> None:
    """Items drafted with a period renew the subscription; items without one are its first, and get their period now."""
    items = invoice.items.filter(subscription=subscription, kind__in=PERIOD_KINDS)
    renewed = items.filter(period_start__isnull=False).first()
    if renewed is not None and renewed.period_start and renewed.period_end:
        period = Period(renewed.period_start, renewed.period_end)
        subscriptions.advance(subscription=subscription, period=period, at=at)
    else:
        period = subscriptions.activate(subscription=subscription, period=first_period, at=at)
        items.update(period_start=period.start, period_end=period.end)


def open_allocations(of: Q) -> list[tuple[PaymentAllocation, Money]]:
    """Allocations of which something is left, with what is left, the latest first."""
    reversed_minor = Coalesce(Sum("reversals__amount_minor", filter=Q(reversals__undone_at=None)), 0)
    rows = PaymentAllocation.objects.filter(of).select_related("payment", "invoice__organization")
    rests = [
        (row, row.amount - Money(row.reversed_minor, row.currency))
        for row in rows.annotate(reversed_minor=reversed_minor).order_by("-at", "-id")
    ]
    return [(allocation, rest) for allocation, rest in rests if rest]


def allocate(*, invoice: Invoice, payment: Payment | None, at: datetime) -> None:
    """Write down what pays the invoice: the payment as far as it goes, and credit of the wallet for the rest."""
    by_payment = Money.zero(invoice.currency)
    if payment is not None and payment.received.currency == invoice.currency:
        spent = total((rest for _allocation, rest in open_allocations(Q(payment=payment))), invoice.currency)
        by_payment = min(invoice.total, payment.refundable - spent)
    PaymentAllocation.objects.bulk_create(
        PaymentAllocation(
            organization_id=invoice.organization_id,
            invoice=invoice,
            payment=paid_with,
            amount_minor=amount.minor,
            currency=amount.currency,
            at=at,
        )
        for paid_with, amount in ((payment, by_payment), (None, invoice.total - by_payment))
        if amount
    )


def pay_free_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Settle an invoice whose total is zero. ValueError when there is something to pay."""
    if invoice.total_minor:
        raise ValueError(f"{invoice} is not free")
    return pay_from_wallet(invoice=invoice, at=at)


def use_series(*, series: InvoiceSeries, actor: object) -> None:
    """Draft invoices in this series from now on. Calling it twice is harmless."""
    with tenancy.as_worker():
        current = InvoiceSeries.objects.select_for_update(no_key=True).get(is_default=True)
        if current.pk == series.pk:
            return
        InvoiceSeries.objects.filter(pk=current.pk).update(is_default=False)
        InvoiceSeries.objects.filter(pk=series.pk).update(is_default=True)
        audit.record(
            action="invoiceseries.use", entity=series, actor=actor, old={"code": current.pk}, new={"code": series.pk}
        )


def void_draft(*, invoice: Invoice, at: datetime) -> bool:
    """Drop a draft that is not wanted, and have its checkout session closed soon; False when it was issued.

    Money that arrives nevertheless still pays it.
    """
    with tenancy.as_worker():
        row = lock_invoice(invoice.pk)
        if row.state != InvoiceState.DRAFT:
            return False
        row.transition_to(InvoiceState.EXPIRED)
        row.save(update_fields=["state"])
        expire_open_payments(invoice=row, at=at)
    return True


def void_invoice(*, invoice: Invoice, reason: str, actor: object, at: datetime) -> bool:
    """Void an issued invoice that nobody paid: what it bills can be billed again, and it keeps its number.

    False where its checkout session can still be paid: that is closed first, which takes seconds, and then voiding is
    tried again. Raises NotVoidable.
    """
    with tenancy.as_worker():
        row = lock_invoice(invoice.pk)
        if row.state not in VOIDABLE:
            raise NotVoidable(f"an invoice that is {row.state} is not voided")
        if row.allocations.exists() or row.payments.filter(state__in=MONEY_UNDER_WAY).exists():
            raise NotVoidable("a payment for it has arrived or is on its way")
        if row.payments.filter(state=PaymentState.PENDING).exists():
            expire_open_payments(invoice=row, at=at)
            return False
        old = row.state
        row.transition_to(InvoiceState.VOID)
        row.save(update_fields=["state"])
        new = {"state": row.state, "reason": reason}
        audit.record(action="invoice.void", entity=row, actor=actor, old={"state": old}, new=new)
    return True


def expire_open_payments(*, invoice: Invoice, at: datetime) -> None:
    """Have the checkout sessions that can still pay the invoice closed soon; the caller holds its lock."""
    invoice.payments.filter(state=PaymentState.PENDING).update(expires_at=Least(F("expires_at"), at), poll_at=at)
