"""Hours charged a second, beside bare SQL that writes the same rows: into tables without our rules.

The second hour of a month is measured, which adds to the lines that the first one wrote. Each organization
has one server. The bare tables have the same columns, checks and indexes, and no triggers and foreign keys.
"""

import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
from django.db import connection

from bench import renew
from bench.environment import VAR, Environment
from bench.report import Row, slower
from billing.models import RunKind, Subscription, SubscriptionItem
from billing.runs import batches, runner
from core import bulk, embedded

SIZES = (10_000, 100_000)
AT = datetime(2027, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SUBSCRIPTION = renew.SUBSCRIPTION | {"term": "'hourly'", "amount_minor": "1", "metered_from": "%(end)s"}
ITEM = renew.ITEM | {"unit_minor": "line.minor * 0.0013"}
WALLETS = """INSERT INTO billing_ledgeraccount (id, kind, organization_id, gateway, currency, balance_minor)
    SELECT uuidv7(), 'wallet', id, '', 'USD', 100000 FROM accounts_organization WHERE starts_with(name, %(mark)s)"""
RANGE = "original.organization_id > %(after)s AND original.organization_id <= %(until)s"
INSERTED = {
    "usagecycle": "original.hour = %(hour)s",
    "journalentry": "original.kind = 'usage' AND original.at = %(at)s",
    "posting": "original.entry_id IN (SELECT id FROM billing_journalentry WHERE kind = 'usage' AND at = %(at)s)",
}
UPDATED = {
    "invoiceitem": ("quantity", "amount_minor", "period_end"),
    "invoice": ("net_minor", "tax_minor", "total_minor"),
    "ledgeraccount": ("balance_minor",),
    "subscription": ("current_period_start", "current_period_end"),
}


def measure(environment: Environment) -> Iterator[Row]:
    """Charge an hour of 10 and 100 thousand subscriptions."""
    with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER), autocommit=True) as owner:
        for number, count in enumerate(SIZES):
            at = AT + timedelta(days=number * 60)
            _make_customers(owner, count, at, f"bench hourly {number} ")
            runner.execute(RunKind.METER, at=at)
            _copy_tables(owner)
            at += HOUR
            longest = 0.0
            began = before = time.perf_counter()

            def clocked(_done: int, _rows: int) -> None:
                nonlocal longest, before
                longest, before = max(longest, time.perf_counter() - before), time.perf_counter()

            run = runner.execute(RunKind.METER, at=at, progress=clocked)
            ours = count / (time.perf_counter() - began)
            assert run.counts["usage"] == count, run.counts
            bare = count / _write_again(owner, at)
            yield Row(f"{count:,} hours, bare SQL", bare, "/s")
            yield slower(f"{count:,} hours", ours, "/s", bare, "bare SQL")
            yield Row(f"{count:,} hours, longest transaction", longest, "s")
            yield Row("memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")
            Subscription.objects.filter(metered_from__isnull=False).update(cancels_at_period_end=True)
    connection.close()


def _make_customers(owner: "psycopg.Connection[tuple[object, ...]]", count: int, at: datetime, mark: str) -> None:
    params = {"count": count, "mark": mark, "start": at - HOUR, "end": at}
    owner.execute(renew.ORGANIZATIONS, params)
    bulk.insert_from(Subscription, SUBSCRIPTION, "FROM accounts_organization WHERE starts_with(name, %(mark)s)", params)
    bulk.insert_from(SubscriptionItem, ITEM, renew.ITEMS, params)
    with owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")  # balances without postings
        owner.execute(WALLETS, params)
    owner.execute(f"{renew.ANALYZE}, billing_ledgeraccount")


def _copy_tables(owner: "psycopg.Connection[tuple[object, ...]]") -> None:
    for table in (*INSERTED, *UPDATED):
        owner.execute(f"DROP TABLE IF EXISTS bare_{table}")
        owner.execute(f"CREATE TABLE bare_{table} (LIKE billing_{table} INCLUDING ALL)")
    owner.execute("ALTER TABLE bare_journalentry DROP CONSTRAINT billing_entry_written_in")
    for table in UPDATED:
        owner.execute(f"INSERT INTO bare_{table} SELECT * FROM billing_{table}")
        owner.execute(f"ANALYZE bare_{table}")


def _write_again(owner: "psycopg.Connection[tuple[object, ...]]", at: datetime) -> float:
    """Write the run's rows again, in batches of the same size; the seconds that it took."""
    due = "SELECT organization_id FROM billing_usagecycle WHERE hour = %(hour)s"
    found = batches.ranges(due, {"hour": at}, within=batches.EVERYBODY, size=batches.SIZE)
    began = time.perf_counter()
    for of in found:
        params = of.params(at, hour=at)
        with owner.transaction():
            for table, condition in INSERTED.items():
                owner.execute(
                    f"INSERT INTO bare_{table} SELECT original.* FROM billing_{table} original"
                    f" WHERE {condition} AND {RANGE}",
                    params,
                )
            for table, columns in UPDATED.items():
                assigned = ", ".join(f"{name} = original.{name}" for name in columns)
                owner.execute(
                    f"UPDATE bare_{table} bare SET {assigned} FROM billing_{table} original"
                    f" WHERE original.id = bare.id AND {RANGE}",
                    params,
                )
    return time.perf_counter() - began
