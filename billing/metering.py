"""Servers billed by the hour: which hours count, when they begin to, and how long a wallet pays for them.

Hours are those of the clock, in UTC. The run `meter` charges them from the wallet.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connections
from django.db.models import DateTimeField, ExpressionWrapper, OuterRef, Subquery, Value
from django.db.models.functions import Greatest

from accounts.models import Organization
from billing.models import AccountKind, BillingMode, LedgerAccount, Subscription, SubscriptionStatus, UsageCycle
from catalog.models import Term
from core import site_settings, tenancy
from core.money import Rate

HOUR = timedelta(hours=1)
# An automatic top-up is given so long to pay for what runs: a card answers in seconds, a bank takes days.
AWAITED_FOR = timedelta(minutes=30)
# What a wallet does not pay is suspended so soon after the hour began that those minutes are not charged.
NOTICED_WITHIN = timedelta(minutes=15)
# What an hour of all that each of these wallets pays for costs now, with the tax of the month's draft, and how many
# hours it still pays for.
LASTS = """
    SELECT wallet.id AS wallet_id, wallet.organization_id, wallet.currency, hourly.minor,
        least(div(wallet.balance_minor + wallet.promotional_minor, hourly.minor), 30000)::integer AS hours_left
    FROM billing_ledgeraccount wallet
    LEFT JOIN billing_invoice draft ON draft.organization_id = wallet.organization_id
        AND draft.currency = wallet.currency AND draft.usage_month = %(month)s
    LEFT JOIN billing_invoicetax tax ON tax.invoice_id = draft.id AND NOT draft.is_tax_inclusive
    CROSS JOIN LATERAL (SELECT sum(item.quantity * item.unit_minor) * (1 + coalesce(tax.rate, 0) / 100) AS minor
        FROM billing_subscription subscription JOIN billing_subscriptionitem item
            ON item.subscription_id = subscription.id AND item.kind IN ('plan', 'addon')
            AND item.valid_from <= %(at)s AND (item.valid_until IS NULL OR item.valid_until > %(at)s)
        WHERE subscription.organization_id = wallet.organization_id AND subscription.currency = wallet.currency
            AND subscription.metered_from IS NOT NULL AND subscription.status = 'active') hourly
    WHERE wallet.kind = 'wallet' AND {of} AND hourly.minor > 0 ORDER BY wallet.currency"""
OF_ORGANIZATION = LASTS.format(of="wallet.organization_id = %(organization)s")


@dataclass(frozen=True)
class HourlyCost:
    """What an organization's hours cost in a currency, with tax, and how many more of them its wallet pays."""

    rate: Rate
    hours_left: int


def hour_of(at: datetime) -> datetime:
    """When the hour of the clock began."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def first_hour(at: datetime) -> datetime:
    """The first hour that is charged of what begins at `at`: the one that has started, or the next whole one."""
    started = hour_of(at)
    return started if site_settings.get("billing.charges_started_hours") or started == at else started + HOUR


def last_hour(at: datetime) -> datetime:
    """The last hour that is to be charged at `at`: the one that has started, or the one that is over."""
    started = hour_of(at)
    return started if site_settings.get("billing.charges_started_hours") else started - HOUR


def resumed_hour(at: datetime) -> datetime | None:
    """The hour that is charged of what resumes at `at`: the one that has started.

    None where only whole hours are charged, when they are over: it is then the one that its wallet did not pay.
    """
    return hour_of(at) if site_settings.get("billing.charges_started_hours") else None


def ran_until(at: datetime) -> datetime:
    """The end of the last hour that is charged of what is suspended at `at` because its wallet did not pay."""
    has_started = site_settings.get("billing.charges_started_hours")
    return hour_of(at - NOTICED_WITHIN) + HOUR if has_started else hour_of(at)


def start_metering(*, subscription_ids: Collection[UUID], at: datetime) -> None:
    """Charge the hours of those billed by the hour from now on: their servers run. Calling it twice is harmless.

    An hour that is charged already, before the server was gone, is not charged again. Each has a wallet from now on,
    so that its owner is told when that is empty.
    """
    first = first_hour(at)
    of_subscription = UsageCycle.objects.filter(subscription=OuterRef("pk")).order_by("-hour")
    charged_until = ExpressionWrapper(Subquery(of_subscription.values("hour")[:1]) + HOUR, output_field=DateTimeField())
    with tenancy.as_worker():
        begun = Greatest(Value(first), charged_until)
        rows = Subscription.objects.filter(
            pk__in=subscription_ids,
            term=Term.HOURLY,
            billing_mode=BillingMode.SELF,
            status=SubscriptionStatus.ACTIVE,
            metered_from=None,
        )
        owners = sorted(set(rows.values_list("organization_id", "currency")))
        rows.update(metered_from=begun, current_period_start=begun - HOUR, current_period_end=begun)
        wallets = [
            LedgerAccount(kind=AccountKind.WALLET, organization_id=owner, currency=code) for owner, code in owners
        ]
        LedgerAccount.objects.bulk_create(wallets, ignore_conflicts=True)


def hourly_costs(organization: Organization, *, at: datetime) -> list[HourlyCost]:
    """What the organization's servers cost an hour, in each currency in which any does."""
    month = hour_of(at).date().replace(day=1)
    with connections[LedgerAccount.objects.db].cursor() as cursor:
        cursor.execute(OF_ORGANIZATION, {"organization": organization.pk, "at": at, "month": month})
        rows = cursor.fetchall()
    return [HourlyCost(Rate(Decimal(minor), currency), left) for _id, _owner, currency, minor, left in rows]
