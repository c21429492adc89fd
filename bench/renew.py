"""Renewals a second, beside bare SQL that writes the same rows: copies of them, into tables without our rules.

The bare tables have the same columns, checks and indexes, and no triggers and foreign keys; the batches are as large.
"""

import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
from django.db import connection

from bench.environment import VAR, Environment
from bench.report import Row, slower
from billing.models import RunKind, Subscription, SubscriptionItem
from billing.runs import batches, runner
from core import bulk, embedded

SIZES = (10_000, 100_000)
AT = datetime(2027, 1, 1, tzinfo=UTC)
# Organizations with one subscription each, of a plan with an add-on, whose paid time ends on the day.
ORGANIZATIONS = """INSERT INTO accounts_organization SELECT (jsonb_populate_record(sample, jsonb_build_object(
        'id', uuidv7(), 'is_personal', false, 'name', %(mark)s || n, 'slug', replace(%(mark)s, ' ', '-') || n))).*
    FROM (SELECT sample FROM accounts_organization sample LIMIT 1) one, generate_series(1, %(count)s) n"""
SUBSCRIPTION = {
    "organization_id": "id",
    "status": "'active'",
    "term": "'monthly'",
    "currency": "'USD'",
    "amount_minor": "1050",
    "is_auto_renewed": "true",
    "current_period_start": "%(start)s",
    "current_period_end": "%(end)s",
    "anchor_day": "1",
    "label": "'world'",
}
ITEM = {
    "subscription_id": "subscription.id",
    "organization_id": "subscription.organization_id",
    "kind": "line.kind",
    "plan_price_id": "line.plan",
    "addon_price_id": "line.addon",
    "description": "line.kind",
    "unit_minor": "line.minor",
    "currency": "'USD'",
    "valid_from": "%(start)s",
    "position": "line.place",
}
ITEMS = """FROM billing_subscription subscription,
    (SELECT 'plan' AS kind, (SELECT id FROM catalog_planprice WHERE currency = 'USD' LIMIT 1) AS plan,
            NULL::uuid AS addon, 800 AS minor, 0 AS place
        UNION ALL SELECT 'addon', NULL, (SELECT id FROM catalog_addonprice WHERE currency = 'USD' LIMIT 1), 250, 1) line
    WHERE subscription.current_period_end = %(end)s"""
ANALYZE = "ANALYZE accounts_organization, billing_subscription, billing_subscriptionitem, billing_invoiceitem"
COPY = """INSERT INTO bare_{table} SELECT original.* FROM billing_{table} original
    JOIN billing_invoice invoice ON invoice.id = original.{key}
    WHERE invoice.due_at = %(end)s AND invoice.organization_id > %(after)s AND invoice.organization_id <= %(until)s"""


def measure(environment: Environment) -> Iterator[Row]:
    """Renew 10 and 100 thousand subscriptions."""
    with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER), autocommit=True) as owner:
        for number, count in enumerate(SIZES):
            at = AT + timedelta(days=number * 60)
            end = at + timedelta(days=1)
            _make_customers(owner, count, number, end)
            longest = 0.0
            began = before = time.perf_counter()

            def clocked(_done: int, _rows: int) -> None:
                nonlocal longest, before
                longest, before = max(longest, time.perf_counter() - before), time.perf_counter()

            run = runner.execute(RunKind.RENEW, at=at, progress=clocked)
            ours = count / (time.perf_counter() - began)
            assert run.counts == {"invoice": count}, run.counts
            bare = count / _copy(owner, end)
            yield Row(f"{count:,} renewals, bare SQL", bare, "/s")
            yield slower(f"{count:,} renewals", ours, "/s", bare, "bare SQL")
            yield Row(f"{count:,} renewals, longest transaction", longest, "s")
            yield Row("memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")
    connection.close()


def _make_customers(owner: "psycopg.Connection[tuple[object, ...]]", count: int, number: int, end: datetime) -> None:
    params = {"count": count, "mark": f"bench {number} ", "start": end - timedelta(days=31), "end": end}
    owner.execute(ORGANIZATIONS, params)
    named = "FROM accounts_organization WHERE starts_with(name, %(mark)s)"
    bulk.insert_from(Subscription, SUBSCRIPTION, named, params)
    bulk.insert_from(SubscriptionItem, ITEM, ITEMS, params)
    owner.execute(ANALYZE)


def _copy(owner: "psycopg.Connection[tuple[object, ...]]", end: datetime) -> float:
    """Write the run's rows again, in batches of the same size; the seconds that it took."""
    for table in ("invoice", "invoiceitem"):
        owner.execute(f"DROP TABLE IF EXISTS bare_{table}")
        owner.execute(f"CREATE TABLE bare_{table} (LIKE billing_{table} INCLUDING ALL)")
    due = "SELECT organization_id FROM billing_invoice WHERE due_at = %(end)s"
    found = batches.ranges(due, {"end": end}, within=batches.EVERYBODY, size=batches.SIZE)
    began = time.perf_counter()
    for of in found:
        with owner.transaction():
            for table, key in (("invoice", "id"), ("invoiceitem", "invoice_id")):
                owner.execute(COPY.format(table=table, key=key), of.params(end) | {"end": end})
    return time.perf_counter() - began
