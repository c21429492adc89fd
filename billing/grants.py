"""Credit that the shop gives an organization: promotional, which is spent first and may expire, or wallet credit."""

from datetime import datetime
from uuid import UUID

from accounts.models import Organization
from billing import ledger
from billing.ledger import EntryLine
from billing.models import AccountKind, CreditGrant, EntryKind, GrantKind
from core import audit, tenancy
from core.money import Money


def grant_credit(
    *,
    organization: Organization,
    amount: Money,
    kind: GrantKind,
    reason: str,
    expires_at: datetime | None = None,
    form_token: UUID,
    actor: object,
    at: datetime,
) -> CreditGrant:
    """Give credit from the account of promotions, once per form and amount. Wallet credit pays first what is owed.

    ValueError where wallet credit is to expire, or promotional credit has expired already.
    """
    if expires_at is not None and (kind != GrantKind.PROMOTIONAL or expires_at <= at):
        raise ValueError("only promotional credit expires, and later than it is given")
    is_promotional = kind == GrantKind.PROMOTIONAL
    with tenancy.as_worker(organization):
        ledger.lock_wallet(organization, amount.currency)
        once = {"kind": kind, "amount_minor": amount.minor, "currency": amount.currency, "form_token": form_token}
        left = {"remaining_minor": amount.minor if is_promotional else 0, "expires_at": expires_at}
        grant, is_new = CreditGrant.objects.get_or_create(
            organization=organization, **once, defaults=left | {"reason": reason[:191], "created_at": at}
        )
        if not is_new:
            return grant
        account = [ledger.promotional_line(organization, amount)] if is_promotional else []
        ledger.post_entry(
            kind=EntryKind.CREDIT_GRANTED,
            reference=f"credit_granted:{grant.pk}",
            lines=[
                *(account or ledger.deposit(organization, amount)),
                EntryLine(ledger.account_of(AccountKind.PROMOTIONS, amount.currency), -amount),
            ],
            organization=organization,
            source=grant,
            note=reason,
            at=at,
        )
        new = {"kind": kind, "amount_minor": amount.minor, "currency": amount.currency, "reason": reason}
        audit.record(action="creditgrant.add", entity=grant, actor=actor, new=new, at=at)
    return grant


def end_grant(*, grant: CreditGrant, actor: object, at: datetime) -> bool:
    """Let what is left of promotional credit expire with the next run; False where nothing is left."""
    with tenancy.as_worker(grant):
        row = CreditGrant.objects.select_for_update(no_key=True).get(pk=grant.pk)
        if not row.remaining_minor or (row.expires_at is not None and row.expires_at <= at):
            return False
        old, row.expires_at = row.expires_at, at
        row.save(update_fields=["expires_at"])
        dates = ({"expires_at": old and old.isoformat()}, {"expires_at": at.isoformat()})
        audit.record(action="creditgrant.end", entity=row, actor=actor, old=dates[0], new=dates[1], at=at)
    return True
