"""Posting to the ledger: every journal entry balances, and every event is posted once.

The database enforces it (migration 0002): an entry that does not sum to zero is refused at commit, a wallet never goes
below zero, and nothing is changed afterwards. `billing.models.ledger` explains the signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Organization
from billing.models import AccountKind, EntryKind, JournalEntry, LedgerAccount, Posting
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
    at: datetime,
    note: str = "",
) -> JournalEntry:
    """Post one event under its `reference`; the same event again gives the existing entry.

    Raises LedgerConflict when the reference was used with other postings. An unbalanced entry is refused at commit.
    """
    with tenancy.as_worker():
        fields = {"kind": kind, "organization": organization, "at": at, "note": note[:191]}
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
        entry = JournalEntry.objects.select_related("organization").get(reference=of)
        lines = [
            EntryLine(posting.account, Money(-posting.amount_minor, posting.currency))
            for posting in entry.postings.select_related("account")
        ]
        return post_entry(kind=kind, reference=reference, lines=lines, organization=entry.organization, at=at)


def transfer(source: LedgerAccount, target: LedgerAccount, amount: Money) -> tuple[EntryLine, EntryLine]:
    """The two lines that take `amount` from one account and add it to another."""
    return EntryLine(source, -amount), EntryLine(target, amount)


def wallet_of(organization: Organization, currency: str) -> LedgerAccount:
    """The organization's wallet in a currency, created at first use."""
    with tenancy.as_worker():
        return LedgerAccount.objects.get_or_create(
            kind=AccountKind.WALLET, organization=organization, gateway="", currency=currency
        )[0]


def account_of(kind: AccountKind, currency: str, gateway: str = "") -> LedgerAccount:
    """One of the shop's own accounts in a currency, created at first use. Each gateway has its own clearing account."""
    with tenancy.as_worker():
        return LedgerAccount.objects.get_or_create(kind=kind, organization=None, gateway=gateway, currency=currency)[0]
