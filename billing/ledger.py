"""Posting to the ledger: every journal entry balances, and every event is posted once.

The database enforces it (migration 0002): postings that do not sum to zero are refused, a wallet never goes below zero,
and nothing is changed or added afterwards. `billing.models.ledger` explains the signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Model

from accounts.models import Organization
from billing.models import SOURCE_FIELDS, AccountKind, EntryKind, JournalEntry, LedgerAccount, Posting
from core import tenancy
from core.money import Money


class LedgerConflict(Exception):
    """A reference was used again with other postings."""


@dataclass(frozen=True)
class EntryLine:
    """One posting of an entry: an account and a signed amount."""

    account: LedgerAccount
    amount: Money


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

    `source` is the payment, invoice, refund or dispute that it comes from. Raises LedgerConflict when the reference was
    used with other postings.
    """
    with tenancy.as_worker():
        fields: dict[str, object] = {"kind": kind, "organization": organization, "at": at, "note": note[:191]}
        if source is not None:
            fields[str(source._meta.model_name)] = source
        entry, is_new = JournalEntry.objects.get_or_create(reference=reference, defaults=fields)
        if is_new:
            Posting.objects.bulk_create(
                Posting(
                    entry=entry,
                    account=line.account,
                    organization_id=line.account.organization_id,
                    amount_minor=line.amount.minor,
                    currency=line.amount.currency,
                )
                for line in lines
            )
        else:
            posted = sorted(entry.postings.values_list("account_id", "amount_minor", "currency"))
            if posted != sorted((line.account.pk, line.amount.minor, line.amount.currency) for line in lines):
                raise LedgerConflict(f"{reference} is posted already, with other postings")
    return entry


def reverse_entry(*, kind: EntryKind, reference: str, of: str, at: datetime) -> JournalEntry:
    """Post the exact opposite of the entry with the reference `of`."""
    with tenancy.as_worker():
        entry = JournalEntry.objects.select_related("organization", *SOURCE_FIELDS).get(reference=of)
        lines = [
            EntryLine(posting.account, Money(-posting.amount_minor, posting.currency))
            for posting in entry.postings.select_related("account")
        ]
        return post_entry(
            kind=kind, reference=reference, lines=lines, organization=entry.organization, source=entry.source, at=at
        )


def transfer(source: LedgerAccount, target: LedgerAccount, amount: Money) -> tuple[EntryLine, EntryLine]:
    """The two lines that take `amount` from one account and add it to another."""
    return EntryLine(source, -amount), EntryLine(target, amount)


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


def lock_wallet(organization: Organization, currency: str) -> LedgerAccount:
    """The wallet under its row lock, to be spent from; the caller holds a transaction."""
    wallet = wallet_of(organization, currency)
    return LedgerAccount.objects.select_for_update(no_key=True).get(pk=wallet.pk)


def wallet_of(organization: Organization, currency: str) -> LedgerAccount:
    """The organization's wallet in a currency, created at first use."""
    return organization_account(AccountKind.WALLET, organization, currency)


def organization_account(kind: AccountKind, organization: Organization, currency: str) -> LedgerAccount:
    """One of the organization's accounts in a currency, created at first use."""
    with tenancy.as_worker():
        return LedgerAccount.objects.get_or_create(kind=kind, organization=organization, gateway="", currency=currency)[
            0
        ]


def account_of(kind: AccountKind, currency: str, gateway: str = "") -> LedgerAccount:
    """One of the shop's own accounts in a currency, created at first use. Each gateway has its own clearing account."""
    with tenancy.as_worker():
        return LedgerAccount.objects.get_or_create(kind=kind, organization=None, gateway=gateway, currency=currency)[0]
