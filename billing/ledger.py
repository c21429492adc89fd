"""Writing in the books: every entry balanced, every fact entered once.

The database keeps the laws (migration 0002): what does not sum to zero is refused at commit, wallets never go below
zero, nothing is ever changed. Signs are explained in `billing.models.ledger`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Organization
from billing.models import AccountKind, EntryKind, JournalEntry, LedgerAccount, Posting
from core import tenancy
from core.money import Money


class LedgerConflict(Exception):
    """A reference was used again for something else."""


@dataclass(frozen=True)
class Line:
    """One posting to be: an account and a signed amount."""

    account: LedgerAccount
    amount: Money


def enter(
    *,
    kind: EntryKind,
    reference: str,
    lines: Sequence[Line],
    organization: Organization | None = None,
    at: datetime,
    note: str = "",
) -> JournalEntry:
    """Enter one fact under its `reference`; the same fact again gives the existing entry.

    Raises LedgerConflict when the reference stands for other postings. An unbalanced entry is refused at commit.
    """
    with tenancy.as_worker():
        fields = {"kind": kind, "organization": organization, "at": at, "note": note[:191]}
        entry, is_new = JournalEntry.objects.get_or_create(reference=reference, defaults=fields)
        if is_new:
            Posting.objects.bulk_create(_posting(entry, line) for line in lines)
        elif _written(entry) != _wanted(lines):
            raise LedgerConflict(f"{reference} is entered already, with other postings")
    return entry


def _posting(entry: JournalEntry, line: Line) -> Posting:
    return Posting(
        entry=entry,
        account=line.account,
        organization_id=line.account.organization_id,
        amount_minor=line.amount.minor,
        currency=line.amount.currency,
    )


def _written(entry: JournalEntry) -> list[tuple[str, int, str]]:
    rows = entry.postings.values_list("account_id", "amount_minor", "currency")
    return sorted((str(account), minor, currency) for account, minor, currency in rows)


def _wanted(lines: Sequence[Line]) -> list[tuple[str, int, str]]:
    return sorted((str(line.account.pk), line.amount.minor, line.amount.currency) for line in lines)


def wallet_of(organization: Organization, currency: str) -> LedgerAccount:
    """The organization's wallet in a currency, made at first use."""
    with tenancy.as_worker():
        return LedgerAccount.objects.get_or_create(
            kind=AccountKind.WALLET, organization=organization, gateway="", currency=currency
        )[0]


def account_of(kind: AccountKind, currency: str, gateway: str = "") -> LedgerAccount:
    """One of the shop's own accounts in a currency, made at first use; clearing is kept for each gateway."""
    with tenancy.as_worker():
        return LedgerAccount.objects.get_or_create(kind=kind, organization=None, gateway=gateway, currency=currency)[0]


def transfer(source: LedgerAccount, target: LedgerAccount, amount: Money) -> tuple[Line, Line]:
    """The two lines that take `amount` off one account and put it on another."""
    return Line(source, -amount), Line(target, amount)


def reverse(*, kind: EntryKind, reference: str, of: str, at: datetime) -> JournalEntry:
    """Enter the exact opposite of the entry that stands under the reference `of`."""
    with tenancy.as_worker():
        entry = JournalEntry.objects.select_related("organization").get(reference=of)
        lines = [
            Line(posting.account, Money(-posting.amount_minor, posting.currency))
            for posting in entry.postings.select_related("account")
        ]
        return enter(kind=kind, reference=reference, lines=lines, organization=entry.organization, at=at)
