"""Posting to the ledger: every journal entry balances, and every event is posted once.

The database enforces it (migration 0002): postings that do not sum to zero are refused, a wallet never goes below zero,
and nothing is changed or added afterwards. `billing.models.ledger` explains the signs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Model, Sum

from accounts.models import Organization
from billing.models import (
    SOURCE_FIELDS,
    AccountKind,
    EntryKind,
    Invoice,
    JournalEntry,
    LedgerAccount,
    Payment,
    Posting,
)
from core import tenancy
from core.money import Money, total


class LedgerConflict(Exception):
    """A reference was used again with other postings."""


@dataclass(frozen=True)
class EntryLine:
    """One posting of an entry: an account and a signed amount."""

    account: LedgerAccount
    amount: Money


@dataclass(frozen=True)
class NewEntry:
    """What is to be posted once under its `reference`; `source` is the row that it comes from (SOURCE_FIELDS)."""

    kind: EntryKind
    reference: str
    lines: Sequence[EntryLine]
    organization: Organization | None = None
    source: Model | None = None
    note: str = ""


def post_entry(
    *,
    kind: EntryKind,
    reference: str,
    lines: Sequence[EntryLine],
    organization: Organization | None = None,
    source: Model | None = None,
    at: datetime,
    note: str = "",
) -> JournalEntry:
    """Post one event under its `reference`; the same event again gives the existing entry.

    Raises LedgerConflict when the reference was used with other postings.
    """
    return post_entries([NewEntry(kind, reference, lines, organization, source, note)], at=at)[0]


def post_entries(entries: Sequence[NewEntry], *, at: datetime) -> list[JournalEntry]:
    """Post several events, in three statements. One that is posted already gives the existing entry.

    Raises LedgerConflict when a reference was used with other postings.
    """
    rows = []
    for new in entries:
        row = JournalEntry(
            kind=new.kind, reference=new.reference, organization=new.organization, note=new.note[:191], at=at
        )
        if new.source is not None:
            setattr(row, str(new.source._meta.model_name), new.source)
        rows.append(row)
    with tenancy.within_worker():
        JournalEntry.objects.bulk_create(rows, ignore_conflicts=True)  # it waits for who posts the same meanwhile
        known = JournalEntry.objects.in_bulk([row.reference for row in rows], field_name="reference")
        Posting.objects.bulk_create(
            Posting(
                entry=row,
                account=line.account,
                organization_id=line.account.organization_id,
                amount_minor=line.amount.minor,
                currency=line.amount.currency,
            )
            for new, row in zip(entries, rows, strict=True)
            if known[row.reference].pk == row.pk
            for line in new.lines
        )
        for new, row in zip(entries, rows, strict=True):
            if (entry := known[row.reference]).pk != row.pk:
                posted = sorted(entry.postings.values_list("account_id", "amount_minor", "currency"))
                if posted != sorted((line.account.pk, line.amount.minor, line.amount.currency) for line in new.lines):
                    raise LedgerConflict(f"{row.reference} is posted already, with other postings")
    return [known[row.reference] for row in rows]


def reverse_entry(*, kind: EntryKind, reference: str, of: str, at: datetime) -> JournalEntry:
    """Post the opposite of the entry with the reference `of`.

    What was taken from the wallet or is owed since goes where the organization's money goes now (see `deposit`).
    """
    with tenancy.as_worker():
        entry = JournalEntry.objects.select_related("organization", *SOURCE_FIELDS).get(reference=of)
        lines: list[EntryLine] = []
        taken: list[EntryLine] = []
        for posting in entry.postings.select_related("account__organization"):
            is_taken = posting.account.organization is not None and posting.amount_minor < 0
            (taken if is_taken else lines).append(
                EntryLine(posting.account, Money(-posting.amount_minor, posting.currency))
            )
        if taken and (organization := taken[0].account.organization) is not None:
            lines += deposit(organization, total((line.amount for line in taken), taken[0].amount.currency))
        return post_entry(
            kind=kind, reference=reference, lines=lines, organization=entry.organization, source=entry.source, at=at
        )


def pay_receivable(payment: Payment, *, at: datetime) -> None:
    """Use what the payment left in the wallet for what the organization owes. A second call pays the rest.

    That is also credit that was reserved for it, where it brought money of another currency.
    """
    organization = payment.organization
    for currency in sorted({payment.currency, payment.received.currency}):
        if not owed_by(organization, currency):
            continue
        wallet = lock_wallet(organization, currency)
        amount = min(Money(wallet.balance_minor, currency), owed_by(organization, currency))
        if not amount:
            continue
        receivable = organization_account(AccountKind.RECEIVABLE, organization, currency)
        paid = payment.entries.filter(kind=EntryKind.RECEIVABLE_PAID).count()
        post_entry(
            kind=EntryKind.RECEIVABLE_PAID,
            reference=f"receivable_paid:{payment.pk}" + (f":{paid + 1}" if paid else ""),
            lines=transfer(wallet, receivable, amount),
            organization=organization,
            source=payment,
            at=at,
        )


def reserve_credit(payment: Payment, wallet: LedgerAccount, *, at: datetime) -> None:
    """Set the credit that an open payment counts on aside from the locked wallet, so that nothing else spends it."""
    reserved = organization_account(AccountKind.RESERVED_CREDIT, payment.organization, payment.currency)
    post_entry(
        kind=EntryKind.CREDIT_RESERVED,
        reference=f"credit_reserved:{payment.pk}",
        lines=[*spend(wallet, payment.credit), EntryLine(reserved, payment.credit)],
        organization=payment.organization,
        source=payment,
        at=at,
    )


def release_credit(payment: Payment, *, at: datetime) -> None:
    """Give back what was reserved for the payment, to the wallet or as promotional credit. Twice is harmless."""
    if payment.credit_minor:
        lock_wallet(payment.organization, payment.currency)
        reserved = Posting.objects.filter(entry__reference=f"credit_reserved:{payment.pk}").select_related("account")
        post_entry(
            kind=EntryKind.CREDIT_RELEASED,
            reference=f"credit_released:{payment.pk}",
            lines=[EntryLine(row.account, Money(-row.amount_minor, row.currency)) for row in reserved],
            organization=payment.organization,
            source=payment,
            at=at,
        )


def with_receivable(payments: Sequence[Payment]) -> list[Payment]:
    """The payments of organizations that owe something."""
    owing = LedgerAccount.objects.filter(kind=AccountKind.RECEIVABLE, balance_minor__lt=0)
    ids = set(
        owing.filter(organization__in={payment.organization_id for payment in payments}).values_list(
            "organization_id", flat=True
        )
    )
    return [payment for payment in payments if payment.organization_id in ids]


def owed_by(organization: Organization, currency: str) -> Money:
    """What the organization owes because credit that it had spent went back at the gateway."""
    receivable = LedgerAccount.objects.filter(
        kind=AccountKind.RECEIVABLE, organization=organization, currency=currency, balance_minor__lt=0
    ).first()
    return Money(-receivable.balance_minor if receivable else 0, currency)


def transfer(source: LedgerAccount, target: LedgerAccount, amount: Money) -> tuple[EntryLine, EntryLine]:
    """The two lines that take `amount` from one account and add it to another."""
    return EntryLine(source, -amount), EntryLine(target, amount)


def spend(wallet: LedgerAccount, amount: Money, *, arrived: Money | None = None) -> list[EntryLine]:
    """The lines that take `amount` from a locked wallet: promotional credit first, then its own money.

    What has `arrived` for it by a payment is paid with that, so that nobody changes promotional credit into money.
    `wallet` then says what is left. The caller has seen that it suffices (`LedgerAccount.spendable`).
    """
    credit = amount if arrived is None else amount - arrived
    promotional = min(credit, Money(wallet.promotional_minor, wallet.currency))
    own, lines = amount - promotional, []
    if promotional and wallet.organization is not None:
        lines.append(promotional_line(wallet.organization, -promotional))
    if own:
        lines.append(EntryLine(wallet, -own))
    wallet.balance_minor -= own.minor
    wallet.promotional_minor -= promotional.minor
    return lines


def promotional_line(organization: Organization, amount: Money) -> EntryLine:
    """The line that adds `amount` to the organization's promotional credit, or takes it where it is negative."""
    return EntryLine(organization_account(AccountKind.PROMOTIONAL_CREDIT, organization, amount.currency), amount)


def give_back(invoice: Invoice, amount: Money) -> list[EntryLine]:
    """The lines that give back credit that paid an invoice: first what was promotional, which is that again."""
    lock_wallet(invoice.organization, invoice.currency)
    posted = Posting.objects.filter(entry__invoice=invoice, account__kind=AccountKind.PROMOTIONAL_CREDIT)
    spent = Money(-(posted.aggregate(minor=Sum("amount_minor"))["minor"] or 0), invoice.currency)
    lines = [promotional_line(invoice.organization, promotional)] if (promotional := min(amount, spent)) else []
    return lines + deposit(invoice.organization, amount - promotional)


def withdraw(organization: Organization, target: LedgerAccount, amount: Money) -> list[EntryLine]:
    """The lines that take `amount` from the wallet because of a fact from outside, such as a refund at the gateway.

    What the wallet lacks is owed by the organization. The wallet stays locked until the transaction ends.
    """
    wallet = lock_wallet(organization, amount.currency)
    available = min(amount, Money(wallet.balance_minor, amount.currency))
    owed = amount - available
    lines = [EntryLine(target, amount)]
    if available:
        lines.append(EntryLine(wallet, -available))
    if owed:
        receivable = organization_account(AccountKind.RECEIVABLE, organization, amount.currency)
        lines.append(EntryLine(receivable, -owed))
    return lines


def deposit(organization: Organization, amount: Money) -> list[EntryLine]:
    """The lines that give `amount` to the organization: what it owes is paid first, the rest goes to the wallet.

    The wallet stays locked until the transaction ends.
    """
    wallet = lock_wallet(organization, amount.currency)
    paid = min(amount, owed_by(organization, amount.currency))
    lines = []
    if paid:
        lines.append(EntryLine(organization_account(AccountKind.RECEIVABLE, organization, amount.currency), paid))
    if amount - paid:
        lines.append(EntryLine(wallet, amount - paid))
    return lines


def lock_wallet(organization: Organization, currency: str) -> LedgerAccount:
    """The wallet under its row lock, to be spent from; the caller holds a transaction."""
    rows = LedgerAccount.objects.select_for_update(no_key=True).filter(organization=organization, currency=currency)
    wallet = rows.filter(kind=AccountKind.WALLET).first()
    return wallet or rows.get(pk=wallet_of(organization, currency).pk)


def lock_wallets(owners: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], LedgerAccount]:
    """The wallets of (organization's id, currency) under their row locks, taken in the order of their ids.

    They are created at first use. The caller holds a transaction.
    """
    rows = LedgerAccount.objects.select_for_update(no_key=True).order_by("pk")
    of_owners = rows.filter(kind=AccountKind.WALLET, organization__in={owner for owner, _currency in owners})
    wallets = {(row.organization_id, row.currency): row for row in of_owners}
    missing = sorted(set(owners) - wallets.keys())
    if missing:
        LedgerAccount.objects.bulk_create(
            [LedgerAccount(kind=AccountKind.WALLET, organization_id=owner, currency=code) for owner, code in missing],
            ignore_conflicts=True,
        )
        wallets = {(row.organization_id, row.currency): row for row in of_owners.all()}
    return {owner: wallets[owner] for owner in owners}


def wallet_of(organization: Organization, currency: str) -> LedgerAccount:
    """The organization's wallet in a currency, created at first use."""
    return organization_account(AccountKind.WALLET, organization, currency)


def organization_account(kind: AccountKind, organization: Organization, currency: str) -> LedgerAccount:
    """One of the organization's accounts in a currency, created at first use."""
    with tenancy.within_worker():
        return LedgerAccount.objects.get_or_create(kind=kind, organization=organization, gateway="", currency=currency)[
            0
        ]


def account_of(kind: AccountKind, currency: str, gateway: str = "") -> LedgerAccount:
    """One of the shop's own accounts in a currency, created at first use. Each gateway has its own clearing account."""
    with tenancy.within_worker():
        return LedgerAccount.objects.get_or_create(kind=kind, organization=None, gateway=gateway, currency=currency)[0]
