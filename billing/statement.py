"""The statement of an organization's credit: every posting with what it comes from, and the balance after it."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import FETCH_RAISE, F, QuerySet, Sum, Window
from django.utils.translation import gettext as _

from accounts.models import Organization
from billing.models import (
    AccountKind,
    CreditGrant,
    Dispute,
    EntryKind,
    Invoice,
    JournalEntry,
    LedgerAccount,
    Payment,
    Posting,
    Refund,
)
from core.money import Money

EXPLAINED_BY_NOTE = (EntryKind.USAGE, EntryKind.CREDIT_GRANTED, EntryKind.CREDIT_EXPIRED)
HEADER = ("at", "description", "cause", "amount", "balance", "currency", "reference", "account")


def accounts_of(organization: Organization) -> list[LedgerAccount]:
    """The organization's accounts, by currency: its wallets, and the others that are not empty."""
    rows = LedgerAccount.objects.filter(organization=organization).order_by("currency", "kind")
    return [row for row in rows if row.kind == AccountKind.WALLET or row.balance_minor]


def grants_of(organization: Organization) -> "QuerySet[CreditGrant]":
    """Promotional credit that is left, what expires first before the rest: in this order it is spent."""
    rows = CreditGrant.objects.filter(organization=organization, remaining_minor__gt=0)
    return rows.order_by("currency", F("expires_at").asc(nulls_last=True), "pk")


def disputed_credit_of(organization: Organization) -> "QuerySet[Posting]":
    """The credit that is set aside until a bank has decided about a payment."""
    rows = Posting.objects.filter(organization=organization, account__kind=AccountKind.RESERVED_CREDIT)
    disputed = rows.filter(entry__kind=EntryKind.DISPUTE_RESERVED, entry__dispute__closed_at=None)
    return disputed.select_related("entry__dispute__payment").fetch_mode(FETCH_RAISE).order_by("entry__at", "pk")


def statement_of(wallet: LedgerAccount) -> "QuerySet[Posting]":
    """The postings of the wallet and of the promotional credit beside it, newest first.

    Each with `balance_minor`: the credit after it.
    """
    entry = "entry__"
    causes = ("invoice", "payment__invoice", "refund__payment__invoice", "dispute__payment__invoice")
    running = Window(Sum("amount_minor"), order_by=[F("entry__at").asc(), F("pk").asc()])
    return (
        Posting.objects.filter(
            account__organization=wallet.organization_id,
            account__currency=wallet.currency,
            account__kind__in=(AccountKind.WALLET, AccountKind.PROMOTIONAL_CREDIT),
        )
        .annotate(balance_minor=running)
        .select_related("account", *(entry + cause for cause in causes))
        .fetch_mode(FETCH_RAISE)
        .order_by("-entry__at", "-pk")
    )


def payment_of(entry: JournalEntry) -> Payment | None:
    """The payment that moved the money, or whose refund or dispute did."""
    cause: Refund | Dispute | None = entry.refund or entry.dispute
    payment: Payment | None = entry.payment if cause is None else cause.payment
    return payment


def invoice_of(entry: JournalEntry) -> Invoice | None:
    """The issued invoice that the entry is about, which has a page."""
    payment = payment_of(entry)
    invoice = entry.invoice or (payment.invoice if payment else None)
    return invoice if invoice is not None and invoice.number else None


def cause_of(entry: JournalEntry) -> str:
    """What the entry comes from, in words: how it was paid, a top-up, whose hours it pays, or why credit was given."""
    payment = payment_of(entry)
    if payment is None:
        return entry.note if entry.kind in EXPLAINED_BY_NOTE else ""
    top_up = ""
    if payment.invoice_id is None and entry.kind == EntryKind.PAYMENT:
        top_up = _("Automatic top-up") if payment.is_automatic else _("Top-up")
    return ", ".join(filter(None, [top_up, payment.method_label]))


def csv_rows(wallet: LedgerAccount) -> Iterator[Sequence[Any]]:
    """The whole statement, oldest first, read piece by piece; amounts in whole units of the currency."""
    for posting in statement_of(wallet).reverse().iterator(chunk_size=1000):
        entry, invoice = posting.entry, invoice_of(posting.entry)
        after: Decimal = Money(posting.balance_minor, posting.currency).amount  # type: ignore[attr-defined]
        yield (
            entry.at,
            entry.get_kind_display(),
            ", ".join(filter(None, [invoice.number if invoice else "", cause_of(entry)])),
            Money(posting.amount_minor, posting.currency).amount,
            after,
            posting.currency,
            entry.reference,
            posting.account.get_kind_display(),
        )
