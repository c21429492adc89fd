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
from billing.models import RunKind
from billing.runs import batches, runner
from core import embedded
from core.postgresql import logins

SIZES = (10_000, 100_000)
AT = datetime(2027, 1, 1, tzinfo=UTC)
# Organizations with one subscription each, of a plan with an add-on, whose paid time ends on the day.
CUSTOMERS = (
    """INSERT INTO accounts_organization SELECT (jsonb_populate_record(sample, jsonb_build_object(
            'id', uuidv7(), 'is_personal', false, 'name', 'bench ' || %(run)s || ' ' || n))).*
        FROM (SELECT sample FROM accounts_organization sample LIMIT 1) one, generate_series(1, %(count)s) n""",
    """INSERT INTO billing_subscription (id, organization_id, status, term, currency, amount_minor, billing_mode,
            is_auto_renewed, current_period_start, current_period_end, anchor_day, cancels_at_period_end, label)
        SELECT uuidv7(), id, 'active', 'monthly', 'USD', 1050, 'self', true, %(start)s, %(end)s, 1, false, 'world'
        FROM accounts_organization WHERE name LIKE 'bench ' || %(run)s || ' %%'""",
    """INSERT INTO billing_subscriptionitem (id, subscription_id, organization_id, kind, plan_price_id, addon_price_id,
            description, quantity, unit_minor, currency, valid_from, position)
        SELECT uuidv7(), subscription.id, subscription.organization_id, line.kind, line.plan, line.addon, line.kind, 1,
            line.minor, 'USD', %(start)s, line.place
        FROM billing_subscription subscription,
            (SELECT 'plan' AS kind, (SELECT id FROM catalog_planprice LIMIT 1) AS plan, NULL::uuid AS addon,
                800 AS minor, 0 AS place
            UNION ALL SELECT 'addon', NULL, (SELECT id FROM catalog_addonprice LIMIT 1), 250, 1) line
        WHERE subscription.current_period_end = %(end)s""",
    "ANALYZE accounts_organization, billing_subscription, billing_subscriptionitem, billing_invoiceitem",
)
COPY = """INSERT INTO bare_{table} SELECT original.* FROM billing_{table} original
    JOIN billing_invoice invoice ON invoice.id = original.{key}
    WHERE invoice.due_at = %(end)s AND invoice.organization_id > %(after)s AND invoice.organization_id <= %(until)s"""


def measure(environment: Environment) -> Iterator[Row]:
    """Renew 10 and 100 thousand subscriptions."""
    with psycopg.connect(embedded.url(VAR, logins.OWNER), autocommit=True) as owner:
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
    with owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        params = {"count": count, "run": str(number), "start": end - timedelta(days=31), "end": end}
        for statement in CUSTOMERS:
            owner.execute(statement, params if "%(" in statement else None)


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
