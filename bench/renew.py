"""Renewals a second, and renewals paid from wallets, beside bare SQL that writes the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
from django.db import connection

from bench import runs
from bench.environment import VAR, Environment
from bench.report import Row
from billing.models import RunKind, Subscription
from core import embedded

AT = datetime(2027, 1, 1, tzinfo=UTC)
OF_INVOICE = "original.invoice_id IN (SELECT id FROM billing_invoice WHERE due_at = %(end)s)"
DUE = "SELECT organization_id FROM billing_invoice WHERE due_at = %(end)s"
RENEWED = runs.Written(
    due=DUE,
    inserted={"invoice": "original.due_at = %(end)s", "invoiceitem": OF_INVOICE, "invoicetax": OF_INVOICE},
    updated={},
)
PAID = runs.Written(
    due=DUE,
    inserted={
        "journalentry": OF_INVOICE,
        "posting": f"original.entry_id IN (SELECT original.id FROM billing_journalentry original WHERE {OF_INVOICE})",
        "paymentallocation": OF_INVOICE,
    },
    updated={
        "invoice": ("state", "paid_at", "updated_at"),
        "ledgeraccount": ("balance_minor", "updated_at"),
        "subscription": ("current_period_start", "current_period_end", "updated_at"),
    },
)


def measure(environment: Environment) -> Iterator[Row]:
    """Renew so many subscriptions and pay the invoices, with tax, number, ledger and audit."""
    runs.charge_tax()
    with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER), autocommit=True) as owner:
        for number, count in enumerate(runs.SIZES):
            at = AT + timedelta(days=number * 60)
            end = at + timedelta(days=1)
            period = (end - timedelta(days=31), end)
            runs.make_customers(owner, count=count, mark=f"bench {number} ", period=period)
            for kind, when, what, written in (
                (RunKind.RENEW, at, "renewals", RENEWED),
                (RunKind.COLLECT, end, "renewals paid", PAID),
            ):
                yield from runs.compare(owner, kind, at=when, count=count, what=what, written=written, end=end)
            yield runs.memory()
            Subscription.objects.update(cancels_at_period_end=True)
    connection.close()
