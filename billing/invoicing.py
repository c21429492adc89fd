"""Invoices: drafted, then issued and paid from the wallet in one transaction."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from uuid import UUID

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce, Least

from accounts.models import Organization
from billing import events, ledger, subscriptions, tax
from billing.ledger import EntryLine, NewEntry
from billing.models import (
    PERIOD_KINDS,
    AccountKind,
    EntryKind,
    Invoice,
    InvoiceItem,
    InvoiceSeries,
    InvoiceState,
    InvoiceTax,
    ItemKind,
    Payment,
    PaymentAllocation,
    PaymentState,
    Period,
    Subscription,
    SubscriptionItem,
)
from catalog.models import AddonPrice, PlanPrice
from core import audit, bulk, tenancy
from core.money import Money, Rate

UNPAID = frozenset({InvoiceState.DRAFT, InvoiceState.OPEN, InvoiceState.OVERDUE, InvoiceState.EXPIRED})
VOIDABLE = frozenset({InvoiceState.OPEN, InvoiceState.OVERDUE})
MONEY_UNDER_WAY = frozenset({PaymentState.PROCESSING, PaymentState.UNDER_REVIEW})


class NotVoidable(ValueError):
    """The invoice is paid, was never issued, or money for it is on its way; the text says which."""


class MoneyUnderWay(Exception):
    """A bank processes a payment for the invoice, or staff check one: another beside it could be paid twice."""


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
    paid_with: tax.Tax | None = None  # of what is given back: the tax that it was paid with. None: today's

    @property
    def text(self) -> str:
        """What an invoice says: "lantern-smp · Minecraft 4 GB"; the period stands beside it."""
        label = self.subscription.label if self.subscription else ""
        return f"{label} · {self.description}" if label else self.description

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


def draft_invoice(
    *,
    organization: Organization,
    currency: str,
    lines: Sequence[InvoiceLine],
    seller: tax.Seller | None = None,
    client_address: str | None = None,
    at: datetime,
) -> Invoice:
    """A draft over the lines with their tax, numbered when it is issued. CurrencyMismatch where a line differs.

    Tax is that of the shop, or of another `seller`. It depends on the customer's address, so a draft with tax keeps
    the address that it was computed by, and what else tells the customer's country.
    """
    with tenancy.as_worker():
        taxed = tax.assess_lines(lines, organization=organization, currency=currency, seller=seller, at=at)
        evidence = {"country": organization.country, "client_address": client_address or ""}
        invoice = Invoice.objects.create(
            organization=organization,
            series=InvoiceSeries.objects.get(is_default=True),
            currency=currency,
            net_minor=taxed.net.minor,
            tax_minor=taxed.tax.minor,
            total_minor=taxed.total.minor,
            is_tax_inclusive=taxed.is_inclusive,
            billing_address=organization.billing_details if taxed.lines else {},
            place_evidence=evidence if taxed.lines else {},
            created_at=at,
        )
        write_taxes(invoice, taxed)
        write_items(invoice, lines, taxed)
    return invoice


def write_items(invoice: Invoice, lines: Sequence[InvoiceLine], taxed: tax.Taxed) -> None:
    """The lines of a draft."""
    places = {row.tax: place for place, row in enumerate(taxed.lines)}
    InvoiceItem.objects.bulk_create(
        InvoiceItem(
            invoice=invoice,
            organization_id=invoice.organization_id,
            kind=line.kind,
            description=line.text[:255],
            quantity=line.quantity,
            unit_minor=line.unit.minor,
            amount_minor=line.amount.minor,
            currency=line.unit.currency,
            subscription=line.subscription,
            subscription_item=line.subscription_item,
            period_start=line.period.start if line.period else None,
            period_end=line.period.end if line.period else None,
            position=position,
            tax_position=places[line.paid_with] if line.paid_with else 0,  # today's tax is the first
        )
        for position, line in enumerate(lines)
    )


def write_taxes(invoice: Invoice, taxed: tax.Taxed) -> None:
    """The tax lines of a draft."""
    InvoiceTax.objects.bulk_create(
        InvoiceTax(
            invoice=invoice,
            organization_id=invoice.organization_id,
            name=line.tax.name,
            category=line.tax.category,
            jurisdiction=line.tax.jurisdiction,
            rate=line.tax.rate,
            net_minor=line.net.minor,
            tax_minor=line.amount.minor,
            currency=invoice.currency,
            position=position,
        )
        for position, line in enumerate(taxed.lines)
    )


@dataclass(frozen=True)
class Charge:
    """A locked invoice to be paid from its organization's wallet.

    `payment` is what has just come to the wallet for it, `first_period` the first period of its subscription as the
    gateway bills it; without one the period begins when the invoice is paid.
    """

    invoice: Invoice
    payment: Payment | None = None
    first_period: Period | None = None


def issue_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Issue the invoice and freeze it with its seller and its billing address. Calling it twice is harmless.

    The database gives the number when the transaction commits: who needs it reads the invoice again afterwards.
    """
    with tenancy.as_worker():
        row = lock_invoice(invoice.pk)
        if row.issued_at is None:
            open_drafts([row], at)
    return row


def open_drafts(invoices: Sequence[Invoice], at: datetime) -> None:
    """Issue locked drafts: each names its seller, and its billing address if its tax has not fixed that, as of now."""
    for invoice in invoices:
        invoice.transition_to(InvoiceState.OPEN)
        invoice.issued_at, invoice.seller = at, invoice.series.seller_details
        invoice.billing_address = invoice.billing_address or invoice.organization.billing_details
    bulk.update_rows(invoices, ["issued_at", "state", "seller", "billing_address"])


def pay_from_wallet(*, invoice: Invoice, at: datetime) -> Invoice:
    """Issue the invoice, pay it with credit, and begin or renew its subscriptions. Calling it twice is harmless.

    A free invoice needs no credit. Raises InsufficientBalance and MoneyUnderWay.
    """
    with tenancy.as_worker():
        row = lock_invoice(invoice.pk)
        if row.state in UNPAID:
            if row.total and has_money_under_way(row):
                raise MoneyUnderWay(f"a payment for invoice {row.pk} has arrived or is on its way")
            pay_charges([Charge(row)], at=at)
    return row


def has_money_under_way(invoice: Invoice) -> bool:
    """Whether a bank processes a payment for the locked invoice, or staff have yet to accept one that arrived."""
    return invoice.payments.filter(state__in=MONEY_UNDER_WAY).exists()


def pay_charges(charges: Sequence[Charge], *, at: datetime) -> None:
    """Issue and pay unpaid invoices from their wallets, all of them or none, in one set of statements.

    Their subscriptions begin or are renewed. Each invoice is allocated to its `payment` as far as that goes, else to
    credit. Raises InsufficientBalance, before anything is written. The caller holds the invoices' locks.
    """
    invoices = [charge.invoice for charge in charges]
    ids = [invoice.pk for invoice in invoices]
    with tenancy.within_worker():
        locked = subscriptions.lock_subscriptions_of(ids)
        due, arrived = dict[tuple[UUID, str], Money](), dict[tuple[UUID, str], Money]()
        paid = paid_by_payments(charges)
        for row in invoices:
            if row.total:
                owner, nothing = (row.organization_id, row.currency), Money.zero(row.currency)
                due[owner] = due.get(owner, nothing) + row.total
                arrived[owner] = arrived.get(owner, nothing) + paid[row.pk]
        wallets = ledger.lock_wallets(due) if due else {}
        for owner, amount in due.items():
            # Promotional credit stands in for no money that came: of that, a debt may have been paid.
            if wallets[owner].spendable < amount or wallets[owner].balance_minor < arrived[owner].minor:
                raise InsufficientBalance(f"the wallet's balance is less than the {amount} of invoices {ids}")
        recovered = begin_or_renew(charges, locked, at)
        open_drafts([row for row in invoices if row.issued_at is None], at)
        # The net amount is revenue; the tax is owed to the tax office.
        account_of, entries = cache(ledger.account_of), []
        for row in invoices:
            if row.total:
                wallet = wallets[row.organization_id, row.currency]
                parts = ((AccountKind.REVENUE, row.net), (AccountKind.TAX, row.tax))
                earned = [EntryLine(account_of(kind, row.currency), amount) for kind, amount in parts if amount]
                lines = [*ledger.spend(wallet, row.total, arrived=paid[row.pk]), *earned]
                entries.append(NewEntry(EntryKind.CHARGE, f"invoice:{row.pk}", lines, row.organization, row))
        ledger.post_entries(entries, at=at)
        allocate(charges, paid, at=at)
        for row in invoices:
            row.transition_to(InvoiceState.PAID)
            row.paid_at = at
        Invoice.objects.filter(pk__in=ids).update(state=InvoiceState.PAID, paid_at=at)
        events.invoices_paid.send(Invoice, invoice_ids=ids, at=at)
        if recovered:
            events.subscriptions_recovered.send(Subscription, subscription_ids=recovered, at=at)


def begin_or_renew(charges: Sequence[Charge], locked: Sequence[Subscription], at: datetime) -> list[UUID]:
    """Items drafted with a period renew their subscription; items without one are its first, and get their period now.

    `locked` are the subscriptions of the charges' invoices. The ids of those that are renewed.
    """
    rows = {subscription.pk: subscription for subscription in locked}
    first_periods = {charge.invoice.pk: charge.first_period for charge in charges}
    items = InvoiceItem.objects.filter(invoice__in=first_periods, subscription__in=rows).order_by("period_end")
    renewed: dict[tuple[UUID, UUID], Period] = {}
    begun: dict[tuple[UUID, UUID], Period | None] = {}
    for item in items:
        if item.subscription_id is None:
            continue
        key = (item.invoice_id, item.subscription_id)
        if item.kind in PERIOD_KINDS and item.period_start and item.period_end:
            renewed[key] = Period(item.period_start, item.period_end)
        else:
            begun[key] = first_periods[item.invoice_id]
    recovered = [
        subscription_id
        for (_invoice_id, subscription_id), period in renewed.items()
        if subscriptions.advance(subscription=rows[subscription_id], period=period)
    ]
    firsts = {rows[key[1]]: period for key, period in begun.items() if key not in renewed}
    periods: dict[Period, list[UUID]] = defaultdict(list)
    for subscription_id, period in subscriptions.activate(firsts, at=at).items():
        periods[period].append(subscription_id)
    for period, ids in periods.items():
        billed = InvoiceItem.objects.filter(invoice__in=first_periods, subscription__in=ids, kind__in=PERIOD_KINDS)
        billed.filter(period_start=None).update(period_start=period.start, period_end=period.end)
    return recovered


def open_allocations(of: Q) -> list[tuple[PaymentAllocation, Money]]:
    """Allocations of which something is left, with what is left, the latest first."""
    reversed_minor = Coalesce(Sum("reversals__amount_minor", filter=Q(reversals__undone_at=None)), 0)
    rows = PaymentAllocation.objects.filter(of).select_related("payment", "invoice__organization")
    rows = rows.annotate(reversed_minor=reversed_minor).order_by("-at", "-id")
    rests = [(row, row.amount - Money(row.reversed_minor, row.currency)) for row in rows]
    return [(allocation, rest) for allocation, rest in rests if rest]


def paid_by_payments(charges: Sequence[Charge]) -> dict[UUID, Money]:
    """What of each invoice, by its id, the payment pays that has just come for it."""
    spent: dict[UUID, int] = defaultdict(int)
    for allocation, rest in open_allocations(Q(payment__in=[charge.payment for charge in charges if charge.payment])):
        if allocation.payment_id is not None:
            spent[allocation.payment_id] += rest.minor
    paid = {charge.invoice.pk: Money.zero(charge.invoice.currency) for charge in charges}
    for charge in charges:
        invoice, payment = charge.invoice, charge.payment
        if payment is not None and payment.received.currency == invoice.currency:
            paid[invoice.pk] = min(invoice.total, payment.refundable - Money(spent[payment.pk], invoice.currency))
    return paid


def allocate(charges: Sequence[Charge], paid: Mapping[UUID, Money], *, at: datetime) -> None:
    """Write down what pays the invoices: what their payments have `paid`, and credit of the wallet for the rest."""
    PaymentAllocation.objects.bulk_create(
        PaymentAllocation(
            organization_id=charge.invoice.organization_id,
            invoice=charge.invoice,
            payment=paid_with,
            amount_minor=amount.minor,
            currency=amount.currency,
            at=at,
        )
        for charge in charges
        for paid_with, amount in (
            (charge.payment, paid[charge.invoice.pk]),
            (None, charge.invoice.total - paid[charge.invoice.pk]),
        )
        if amount
    )


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
        if row.allocations.exists() or has_money_under_way(row):
            raise NotVoidable("a payment for it has arrived or is on its way")
        if row.payments.filter(state=PaymentState.PENDING).exists():
            expire_open_payments(invoice=row, at=at)
            return False
        old, row.voided_at = row.state, at
        row.transition_to(InvoiceState.VOID)
        row.save(update_fields=["state", "voided_at"])
        new = {"state": row.state, "reason": reason}
        audit.record(action="invoice.void", entity=row, actor=actor, old={"state": old}, new=new, at=at)
    return True


def expire_open_payments(*, invoice: Invoice, at: datetime) -> None:
    """Have the checkout sessions that can still pay the invoice closed soon; the caller holds its lock."""
    invoice.payments.filter(state=PaymentState.PENDING).update(expires_at=Least(F("expires_at"), at), poll_at=at)
