"""`meter`: charge the hours of what is billed by the hour from the wallets, and issue the invoices of a month's hours.

What a wallet does not pay the next hour of is suspended until it does, and resumes with that hour: of several servers
the oldest stay and resume first (see `usage`). Hours that it ran before it was suspended are charged before it resumes,
the time between is not.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from billing import events, metering
from billing.models import DELETION_NOTICE, InvoiceSeries, Reminder, Subscription, SubscriptionStatus
from billing.runs import batches, dun, usage, wallets
from billing.runs.batches import OrganizationRange
from billing.runs.renew import tax_params
from billing.runs.settings import stages_of
from core import site_settings, tenancy

OF_INVOICE, OF_SUBSCRIPTION = batches.OF_INVOICE, usage.OF_SUBSCRIPTION
# No hour of the month is to come: all are charged, or what used them is suspended or over. A server that began to run
# in its last minutes may be told of a little later.
ISSUED_AFTER = timedelta(hours=3)
FINISHED = """
    FROM billing_invoice invoice
    WHERE invoice.state = 'draft' AND invoice.usage_month < %(finished)s
        AND NOT EXISTS (SELECT FROM billing_subscription subscription
            WHERE subscription.organization_id = invoice.organization_id
                AND subscription.currency = invoice.currency AND subscription.metered_from IS NOT NULL
                AND subscription.status = 'active'
                AND subscription.current_period_end < timezone('UTC', invoice.usage_month + interval '1 month'))"""
LOCKS = (
    f"""SELECT id FROM billing_invoice invoice WHERE state = 'draft' AND usage_month IS NOT NULL{OF_INVOICE}
        AND (%(only)s::uuid[] IS NULL OR (organization_id, currency) IN (
            SELECT organization_id, currency FROM billing_subscription WHERE id = ANY (%(only)s::uuid[])))
        ORDER BY id FOR NO KEY UPDATE""",
    f"""SELECT id FROM billing_subscription subscription WHERE metered_from IS NOT NULL
        AND status IN ('active', 'suspended')
        AND (current_period_end <= %(at)s OR id = ANY (%(only)s::uuid[])){OF_SUBSCRIPTION}
        ORDER BY id FOR NO KEY UPDATE""",
    f"""SELECT id FROM billing_ledgeraccount WHERE kind IN ('wallet', 'reserved_credit')
        AND (organization_id, currency) IN (SELECT organization_id, currency FROM billing_subscription subscription
            WHERE metered_from IS NOT NULL AND status IN ('active', 'suspended'){OF_SUBSCRIPTION})
        ORDER BY kind <> 'wallet', id FOR NO KEY UPDATE""",
)
OF_SUSPENDED = """wallet.kind = 'wallet' AND (wallet.organization_id, wallet.currency) IN (
        SELECT organization_id, currency FROM billing_subscription WHERE id = ANY (%(ids)s))"""
LASTING = metering.LASTS.format(of="wallet.id = ANY (%(wallets)s)")
# Where another server is suspended later, it is told of with its own day; the others keep theirs.
LAPSE_EMPTY = f"""
    UPDATE billing_reminder told SET lapsed_at = %(at)s FROM billing_ledgeraccount wallet
    WHERE {OF_SUSPENDED} AND told.wallet_id = wallet.id AND told.lapsed_at IS NULL AND told.stage = 0"""
IS_SUSPENDED = """EXISTS (SELECT FROM billing_subscription suspended
        WHERE suspended.organization_id = wallet.organization_id AND suspended.currency = wallet.currency
            AND suspended.metered_from IS NOT NULL AND suspended.status = 'suspended')"""
LAPSE = f"""
    UPDATE billing_reminder told SET lapsed_at = %(at)s FROM ({LASTING}) lasting
    JOIN billing_ledgeraccount wallet ON wallet.id = lasting.wallet_id
    WHERE told.wallet_id = lasting.wallet_id AND told.lapsed_at IS NULL AND told.stage < lasting.hours_left
        AND (told.stage > 0 OR NOT {IS_SUSPENDED})"""
REMIND = "INSERT INTO billing_reminder (id, organization_id, wallet_id, stage, sent_at, suspends_at, deletes_at)"
REMIND_EMPTY = f"""{REMIND}
    SELECT uuidv7(), wallet.organization_id, wallet.id, 0, %(at)s, %(at)s, (
        SELECT min(suspended.unpaid_deletes_at) FROM billing_subscription suspended WHERE suspended.id = ANY (%(ids)s)
            AND suspended.organization_id = wallet.organization_id AND suspended.currency = wallet.currency)
    FROM billing_ledgeraccount wallet WHERE {OF_SUSPENDED}
    ON CONFLICT (wallet_id, stage) WHERE lapsed_at IS NULL DO NOTHING RETURNING id"""
# The lowest stage that has come, if neither it nor a lower one was told of.
REMIND_LOW = f"""{REMIND}
    SELECT uuidv7(), low.organization_id, low.wallet_id, low.stage, %(at)s, low.empty_at,
        low.empty_at + %(delete_after)s
    FROM (SELECT lasting.*, %(next_hour)s + lasting.hours_left * interval '1 hour' AS empty_at,
            (SELECT min(stage) FROM unnest(%(stages)s::integer[]) stage WHERE stage >= lasting.hours_left) AS stage
        FROM ({LASTING}) lasting) low
    WHERE low.stage IS NOT NULL AND NOT EXISTS (SELECT FROM billing_reminder told
        WHERE told.wallet_id = low.wallet_id AND told.lapsed_at IS NULL AND told.stage <= low.stage) RETURNING id"""
REMEMBER = """INSERT INTO billing_fact SELECT 'low wallet', told.organization_id, '', told.sent_at,
    wallet.balance_minor + wallet.promotional_minor, wallet.currency FROM billing_reminder told
    JOIN billing_ledgeraccount wallet ON wallet.id = told.wallet_id WHERE told.id = ANY (%(ids)s)"""
ISSUE = f"""
    UPDATE billing_invoice invoice SET state = 'open', issued_at = %(at)s, due_at = %(at)s, seller = %(seller)s,
        billing_address = CASE WHEN invoice.billing_address = '{{}}' THEN {batches.ADDRESS}
            ELSE invoice.billing_address END
    FROM accounts_organization organization
    WHERE organization.id = invoice.organization_id AND invoice.id = ANY (%(ids)s)"""


def due(at: datetime) -> tuple[str, dict[str, Any]]:
    """What has hours to charge, can go on, or has a month to be invoiced, as a query of organizations' ids."""
    query = f"""SELECT subscription.organization_id {usage.DUE}
        UNION ALL SELECT subscription.organization_id {usage.SUSPENDED}
        UNION ALL SELECT invoice.organization_id {FINISHED}"""
    return query, settings_of(at)


def settings_of(at: datetime) -> dict[str, Any]:
    """The hours that `at` is about, and what the operator has set, as the parameters of this module's statements."""
    return {
        "at": at,
        "only": None,
        "last_hour": metering.last_hour(at),
        "resumed_hour": metering.resumed_hour(at),
        "ran_until": metering.ran_until(at),
        "awaited_since": at - metering.AWAITED_FOR,
        "hour": metering.hour_of(at),
        "next_hour": metering.hour_of(at) + metering.HOUR,
        "month": metering.hour_of(at).date().replace(day=1),
        "finished": metering.hour_of(at - ISSUED_AFTER).date().replace(day=1),
        "stages": stages_of(site_settings.get("billing.low_balance_hours")),
        "notice": DELETION_NOTICE,
        "delete_after": max(dun.settings_of(at)["delete_after"], DELETION_NOTICE),
    }


def prepare(of: OrganizationRange, at: datetime, **others: Any) -> dict[str, Any]:
    """Lock what is charged, in the order of ARCHITECTURE.md; the parameters of the statements that charge it."""
    series = InvoiceSeries.objects.get(is_default=True)
    params = settings_of(at) | of.params(at, series=series.pk, seller=Jsonb(series.seller_details)) | tax_params()
    params |= others
    batches.execute(batches.FACTS)
    for lock in LOCKS:
        batches.execute(lock, params)
    usage.prepare()
    return params


def perform(of: OrganizationRange, at: datetime) -> None:
    """Charge the hours of the range; the caller holds a transaction."""
    params = prepare(of, at)
    resumed, suspended, charged = list[UUID](), list[UUID](), set[UUID]()
    while usage.charge_hours(params):
        charged.update(batches.ids("SELECT wallet_id FROM billing_usage_invoice WHERE wallet_id IS NOT NULL", {}))
        resumed += batches.ids(usage.RESUME, params)
        suspended += batches.ids(usage.SUSPEND, params)
    if resumed:
        batches.execute(f"{LAPSE_EMPTY} AND NOT {IS_SUSPENDED}", {"ids": resumed, "at": at})
        batches.execute(batches.NOTE, {"what": "resumption", "ids": resumed, "at": at})
    if suspended:
        batches.execute(batches.NOTE, {"what": "suspension", "ids": suspended, "at": at})
        batches.execute(LAPSE_EMPTY, {"ids": suspended, "at": at})
        remind(batches.ids(REMIND_EMPTY, params | {"ids": suspended}), is_empty=True, at=at)
    if charged:
        of_wallets = params | {"wallets": list(charged)}
        batches.execute(LAPSE, of_wallets)
        remind(batches.ids(REMIND_LOW, of_wallets), is_empty=False, at=at)
    if finished := batches.ids(f"SELECT id {FINISHED}{OF_INVOICE} ORDER BY id", params):
        batches.execute(ISSUE, params | {"ids": finished})
        wallets.prepare()
        batches.execute("INSERT INTO billing_to_pay (id) SELECT unnest(%(ids)s)", {"ids": finished})
        wallets.pay(at=at)
    # Servers are locked after all of billing's rows.
    events.subscriptions_recovered.send(Subscription, subscription_ids=resumed, at=at)
    events.subscriptions_suspended.send(Subscription, subscription_ids=suspended, reason="wallet is empty", at=at)


def charge_rest(*, subscription_ids: Collection[UUID], at: datetime) -> None:
    """Charge the hours until now of what ends, or is gone: as far as the wallet pays them, and of these alone.

    The caller holds a transaction, and locks nothing before it but invoices.
    """
    if subscription_ids:
        params = prepare(batches.EVERYBODY, at, only=list(subscription_ids))
        while usage.charge_hours(params):
            pass


def pause(*, subscription_ids: Collection[UUID], at: datetime) -> None:
    """What ran is gone: its hours until now are charged, and no more until `start_metering`. Twice is harmless.

    What its wallet did not pay is no longer suspended: it can run again. The caller is as in `charge_rest`.
    """
    with tenancy.as_worker():
        charge_rest(subscription_ids=subscription_ids, at=at)
        metered = Subscription.objects.filter(pk__in=subscription_ids, metered_from__isnull=False)
        suspended = list(metered.filter(status=SubscriptionStatus.SUSPENDED).values_list("pk", flat=True))
        metered.filter(status__in=[SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED]).update(
            metered_from=None, unpaid_until=None, unpaid_deletes_at=None, status=SubscriptionStatus.ACTIVE
        )
        events.subscriptions_recovered.send(Subscription, subscription_ids=suspended, at=at)


def remind(reminders: list[UUID], *, is_empty: bool, at: datetime) -> None:
    """Send the reminders that were written."""
    if reminders:
        batches.execute(REMEMBER, {"ids": reminders})
        events.wallets_low.send(Reminder, reminder_ids=reminders, is_empty=is_empty, at=at)
