"""What the benches of runs share: customers of a run, the run with its longest transaction, and the same rows bare.

The bare tables have the same columns, checks and indexes, and no triggers and foreign keys. The same rows are written
into them in batches of the same size, copied from ours, so that bare SQL has nothing to compute.
"""

import gc
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from bench.report import Row, slower
from billing.models import RunKind, Subscription, SubscriptionItem, TaxRate
from billing.runs import batches, runner
from core import bulk, site_settings

type Connection = psycopg.Connection[tuple[object, ...]]
# How many subscriptions, one after the other; BENCH_SIZES=1000000 measures a million.
SIZES = tuple(int(size) for size in os.environ.get("BENCH_SIZES", "10000,100000").split(","))
TAX_FROM = datetime.fromisoformat("2020-01-01T00:00Z")
# Organizations with one subscription each, of a plan with an add-on, and a wallet that pays for a while.
ORGANIZATIONS = """INSERT INTO accounts_organization SELECT (jsonb_populate_record(sample, jsonb_build_object(
        'id', uuidv7(), 'is_personal', false, 'name', %(mark)s || n, 'slug', replace(%(mark)s, ' ', '-') || n,
        'country', 'DE', 'region', ''))).*
    FROM (SELECT sample FROM accounts_organization sample LIMIT 1) one, generate_series(1, %(count)s) n"""
NAMED = "FROM accounts_organization WHERE starts_with(name, %(mark)s)"
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
WALLETS = f"""INSERT INTO billing_ledgeraccount (id, kind, organization_id, gateway, currency, balance_minor,
        promotional_minor) SELECT uuidv7(), 'wallet', id, '', 'USD', 100000, 0 {NAMED}"""


@dataclass(frozen=True)
class Written:
    """What a run wrote, by table: inserted rows by a condition, changed rows by their columns."""

    due: str  # the query of the organizations of what was written
    inserted: Mapping[str, str]
    updated: Mapping[str, Sequence[str]]


def charge_tax() -> None:
    """The shop charges 19 % to customers in its country."""
    if not TaxRate.objects.filter(country="DE").exists():
        TaxRate.objects.create(country="DE", rate=19, valid_from=TAX_FROM)
    for key, value in (("tax.status", "registered"), ("tax.country", "DE"), ("tax.prices", "exclusive")):
        site_settings.set_value(key, value)


def make_customers(
    owner: Connection,
    *,
    count: int,
    mark: str,
    period: tuple[datetime, datetime],
    subscription: Mapping[str, str] = SUBSCRIPTION,
    item: Mapping[str, str] = ITEM,
) -> None:
    """So many organizations whose subscriptions are paid for this period."""
    params = {"count": count, "mark": mark, "start": period[0], "end": period[1]}
    owner.execute("SET session_replication_role = replica")  # balances without postings, and no checks
    owner.execute(ORGANIZATIONS, params)
    owner.execute(WALLETS, params)
    owner.execute("RESET session_replication_role")
    bulk.insert_from(Subscription, subscription, NAMED, params)
    bulk.insert_from(SubscriptionItem, item, ITEMS, params)


def compare(
    owner: Connection, kind: RunKind, *, at: datetime, count: int, what: str, written: Written, **params: Any
) -> Iterator[Row]:
    """Run it, write the same rows bare, and say how the two stand."""
    owner.execute("VACUUM ANALYZE")  # as autovacuum does before long
    copy_changed(owner, written)
    gc.collect()  # what is left of the set-up
    found = longest = 0.0
    began = before = time.perf_counter()

    def clocked(done: int, _rows: int) -> None:
        nonlocal found, longest, before
        took, before = time.perf_counter() - before, time.perf_counter()
        if done:
            longest = max(longest, took)
        else:
            found = took

    run = runner.execute(kind, at=at, progress=clocked)
    ours = count / (time.perf_counter() - began)
    assert count in run.counts.values(), (run.counts, run.skipped)
    bare = count / write_bare(owner, written, at=at, **params)
    yield Row(f"{count:,} {what}, bare SQL", bare, "/s")
    yield slower(f"{count:,} {what}", ours, "/s", bare, "bare SQL")
    yield Row(f"{count:,} {what}, longest transaction of a batch", longest, "s")
    yield Row(f"{count:,} {what}, finding what is due (locks nothing)", found, "s")


def memory() -> Row:
    """The most that this process has needed."""
    return Row("memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


def copy_changed(owner: Connection, written: Written) -> None:
    """Bare tables: empty where rows are only inserted, else as ours are before the run."""
    for table in {*written.inserted, *written.updated}:
        owner.execute(f"DROP TABLE IF EXISTS bare_{table}")
        owner.execute(f"CREATE TABLE bare_{table} (LIKE billing_{table} INCLUDING ALL)")
        owner.execute(f"ALTER TABLE bare_{table} DROP CONSTRAINT IF EXISTS billing_entry_written_in")
    for table in written.updated:
        owner.execute(f"INSERT INTO bare_{table} SELECT * FROM billing_{table}")
        owner.execute(f"VACUUM ANALYZE bare_{table}")


def write_bare(owner: Connection, written: Written, *, at: datetime, **params: Any) -> float:
    """Write the run's rows again, in batches of the same size; the seconds that it took."""
    named = {"at": at, **params}
    found = batches.ranges(written.due, named, within=batches.EVERYBODY, size=batches.SIZE)
    began = time.perf_counter()
    for of in found:
        with owner.transaction():
            for statement in statements(written):
                owner.execute(statement, {**named, **of.params(at)})
    return time.perf_counter() - began


def statements(written: Written) -> Iterator[str]:
    """What a batch writes, bare."""
    within = "original.organization_id > %(after)s AND original.organization_id <= %(until)s"
    for table, condition in written.inserted.items():
        yield f"INSERT INTO bare_{table} SELECT original.* FROM billing_{table} original WHERE {condition} AND {within}"
    for table, columns in written.updated.items():
        assigned = ", ".join(f"{name} = original.{name}" for name in columns)
        yield f"""UPDATE bare_{table} bare SET {assigned} FROM billing_{table} original
            WHERE original.id = bare.id AND {within} AND bare.organization_id > %(after)s
                AND bare.organization_id <= %(until)s"""
