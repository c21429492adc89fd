"""Automatic top-ups: when credit falls below a limit, the saved card is charged into the wallet.

Charged as an invoice is (`billing.saved_charges`): one attempt is open, a lost answer is looked for before it is asked
again, and a refused card is charged again by the schedule. When that is over, it stops until it is saved anew.
"""

from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.models import Organization
from billing import ledger, payment_methods, saved_charges
from billing.models import AccountKind, AutoTopUp, Dispute, LedgerAccount, Payment, PaymentState
from core import audit, tenancy, work
from core.money import Money


def auto_top_up_of(organization: Organization, currency: str) -> AutoTopUp | None:
    """What the organization wants topped up in a currency; None where it never said."""
    return AutoTopUp.objects.filter(organization=organization, currency=currency).first()


def attempts_of(organization: Any, currency: Any) -> "QuerySet[Payment]":
    """The automatic top-ups of an organization, newest first. Both may be expressions of an outer query."""
    rows = Payment.objects.filter(organization=organization, currency=currency, invoice=None, is_automatic=True)
    return rows.select_related("payment_method").order_by("-created_at")


def under_way(*, organization: Any, currency: Any, at: datetime) -> "QuerySet[Payment]":
    """Attempts that are open, or after whose refusal the schedule charges again. As `attempts_of` in an outer query."""
    return attempts_of(organization, currency).filter(Q(state__in=Payment.OPEN) | Q(retry_at__gt=at))


def save(
    *, organization: Organization, below: Money, amount: Money, is_active: bool, actor: object, at: datetime
) -> AutoTopUp:
    """Top up by `amount` whenever the credit is below the limit, or no more; what was refused before is forgotten.

    What is asked for already keeps its amount.
    """
    with tenancy.as_worker(organization):
        forget_attempts(organization, amount.currency, is_active=is_active, at=at)
        mine = AutoTopUp.objects.filter(organization=organization, currency=amount.currency)
        old = mine.select_for_update(no_key=True).first()
        new = {"below_minor": below.minor, "amount_minor": amount.minor, "is_active": is_active}
        row, _is_new = AutoTopUp.objects.update_or_create(
            organization=organization,
            currency=amount.currency,
            defaults={**new, "changed_at": at, "stopped_at": None},
        )
        before = {name: getattr(old, name) for name in new} if old else None
        audit.record(
            action="autotopup.save", entity=row, actor=actor, old=before, new=new | {"currency": row.currency}, at=at
        )
    return row


def forget_attempts(organization: Organization, currency: str, *, is_active: bool, at: datetime) -> None:
    """Wait for no refused attempt any more; where it is switched off, have what waits for the card's owner canceled.

    The caller has a transaction, and holds no lock yet: payments come first.
    """
    waiting = attempts_of(organization, currency).filter(Q(state=PaymentState.PENDING) | Q(retry_at__gt=at))
    locked = [row.pk for row in waiting.order_by("pk").select_for_update(no_key=True, of=("self",))]
    rows = Payment.objects.filter(pk__in=locked)
    rows.filter(retry_at__gt=at).update(retry_at=at)
    if not is_active:
        rows.filter(state=PaymentState.PENDING).update(poll_at=at)


def due(*, at: datetime) -> "QuerySet[AutoTopUp]":
    """Those whose wallet is below the limit, that have a method to charge, and of which none is under way."""
    whose = {"organization": OuterRef("organization"), "currency": OuterRef("currency")}
    wallet = LedgerAccount.objects.filter(kind=AccountKind.WALLET, **whose)
    credit = Subquery(wallet.values_list(F("balance_minor") + F("promotional_minor")), output_field=BigIntegerField())
    waiting = under_way(**whose, at=at)
    low = AutoTopUp.objects.filter(is_active=True).annotate(credit_minor=Coalesce(credit, 0))
    has_method = Q(organization__payment_methods__is_default=True)
    is_disputed = Exists(disputed(OuterRef("organization")))
    return low.filter(~Exists(waiting), ~is_disputed, has_method, credit_minor__lt=F("below_minor"))


def disputed(organization: Any) -> "QuerySet[Dispute]":
    """What banks have yet to decide: until then credit is low because it is set aside. As `attempts_of`."""
    return Dispute.objects.filter(organization=organization, closed_at=None)


def request_due(*, at: datetime) -> int:
    """Have the wallets topped up whose credit is below their limits, each in a transaction of its own; how many were.

    Any number of times, by any number of callers at once.
    """
    with tenancy.as_worker():
        rows = list(due(at=at).select_related("organization").order_by("pk"))
    requested: list[AutoTopUp] = []

    def top_up(row: AutoTopUp) -> None:
        if request(row, at=at) is not None:
            requested.append(row)

    work.run_each(rows, top_up, name="automatic top-up")
    return len(requested)


def request(auto_top_up: AutoTopUp, *, at: datetime) -> Payment | None:
    """Have the default method charged where the credit is still below the limit; the attempt, or None."""
    organization, currency = auto_top_up.organization, auto_top_up.currency
    with tenancy.as_worker(auto_top_up):
        method = payment_methods.default_method(organization)
        least = saved_charges.least_charge(method, currency)
    if method is None or least is None:
        return None
    with tenancy.as_worker(auto_top_up):
        wallet = ledger.lock_wallet(organization, currency)
        row = AutoTopUp.objects.select_for_update(no_key=True).get(pk=auto_top_up.pk)
        if not row.is_active or row.amount < least or wallet.spendable >= row.below:
            return None
        if under_way(organization=organization, currency=currency, at=at).exists() or disputed(organization).exists():
            return None
        return saved_charges.open_charge(
            organization_id=organization.pk, method=method, amount=row.amount, is_automatic=True, at=at
        )
