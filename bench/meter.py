"""Hours charged a second, beside bare SQL that writes the same rows.

What is measured is an hour within a month: usage rows, lines and drafts that have hours already, wallets and postings.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
from django.db import connection

from bench import runs
from bench.environment import VAR, Environment
from bench.report import Row
from billing.models import RunKind, Subscription
from billing.runs import runner
from core import embedded

AT = datetime(2027, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SUBSCRIPTION = runs.SUBSCRIPTION | {"term": "'hourly'", "amount_minor": "1", "metered_from": "%(end)s"}
ITEM = runs.ITEM | {"unit_minor": "line.minor * 0.0013"}
CHARGED = runs.Written(
    due="SELECT organization_id FROM billing_usagecycle WHERE hour = %(at)s",
    inserted={
        "usagecycle": "original.hour = %(at)s",
        "journalentry": "original.kind = 'usage' AND original.at = %(at)s",
        "posting": "original.entry_id IN (SELECT id FROM billing_journalentry WHERE kind = 'usage' AND at = %(at)s)",
    },
    updated={
        "invoiceitem": ("quantity", "amount_minor", "period_end", "updated_at"),
        "invoicetax": ("net_minor", "tax_minor", "updated_at"),
        "invoice": ("net_minor", "tax_minor", "total_minor", "updated_at"),
        "ledgeraccount": ("balance_minor", "updated_at"),
        "subscription": ("current_period_start", "current_period_end", "updated_at"),
    },
)


def measure(environment: Environment) -> Iterator[Row]:
    """Charge an hour of so many subscriptions."""
    runs.charge_tax()
    with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER), autocommit=True) as owner:
        for number, count in enumerate(runs.SIZES):
            at = AT + timedelta(days=number * 60)
            mark, period = f"bench hourly {number} ", (at - HOUR, at)
            runs.make_customers(owner, count=count, mark=mark, period=period, subscription=SUBSCRIPTION, item=ITEM)
            runner.execute(RunKind.METER, at=at)
            owner.execute("VACUUM ANALYZE")
            yield from runs.compare(owner, RunKind.METER, at=at + HOUR, count=count, what="hours", written=CHARGED)
            yield runs.memory()
            Subscription.objects.update(cancels_at_period_end=True)
    connection.close()
