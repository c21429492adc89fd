"""The shop invoices the next periods of its subscriptions: together, once, in batches of statements."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Organization
from billing import subscriptions
from billing.models import (
    Invoice,
    InvoiceItem,
    InvoiceState,
    Run,
    RunKind,
    RunState,
    Subscription,
    SubscriptionStatus,
    TaxRate,
    next_period_end,
)
from billing.runs import batches, runner
from catalog.models import Term
from core import site_settings
from core.models import AuditEntry
from tests.billing.sales import NOON, make_sale, refund, run_commit_triggers
from tests.builders import make_addon_price, make_organization

END = datetime(2026, 4, 1, 12, tzinfo=UTC)  # of the first month of what is bought at NOON
SOON = END - timedelta(days=7)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def renew(at: datetime = SOON) -> Run:
    run = runner.execute(RunKind.RENEW, at=at)
    if connection.in_atomic_block:
        run_commit_triggers()
    return run


def make_subscription(*, at: datetime = NOON, label: str = "", **fields: Any) -> Subscription:
    """One that is paid for its first month."""
    sale = make_sale(at=at, **fields)
    sale.settle(at)
    Subscription.objects.filter(pk=sale.subscription.pk).update(label=label)
    return sale.subscription.reload()


def make_free(subscription: Subscription) -> None:
    """From now on all of its price is taken off."""
    subscription.items.update(unit_minor=0)
    Subscription.objects.filter(pk=subscription.pk).update(amount_minor=0)


def invoices() -> list[Invoice]:
    return list(Invoice.objects.exclude(due_at=None).order_by("currency", "due_at", "pk"))


@pytest.mark.django_db
def test_the_database_ends_periods_as_python_does() -> None:
    starts = [
        datetime(year, month, day, hour, 30, 15, 250_000, tzinfo=UTC)
        for year in (2027, 2028, 2100)
        for month in range(1, 13)
        for day, hour in ((1, 0), (28, 23), (29, 12), (30, 1), (31, 23))
        if not (month == 2 and day > 28 + (year == 2028)) and not (month in {4, 6, 9, 11} and day == 31)
    ]
    rows = [(start, term.value, anchor) for start in starts for term in Term for anchor in {start.day, 29, 31}]
    columns = [*map(list, zip(*rows, strict=True)), [next_period_end(*row) for row in rows]]
    with connection.cursor() as cursor:
        for zone in ("UTC", "America/New_York", "Pacific/Kiritimati"):
            cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
            cursor.execute(
                "SELECT start::text, term, anchor FROM unnest(%s::timestamptz[], %s::text[], %s::int[],"
                " %s::timestamptz[]) wanted (start, term, anchor, period_end)"
                " WHERE billing_next_period_end(start, term, anchor) IS DISTINCT FROM period_end",
                columns,
            )
            assert cursor.fetchall() == []


@pytest.mark.django_db
def test_what_is_due_of_an_organization_is_one_invoice_for_each_currency() -> None:
    organization = make_organization()
    addon = make_addon_price(minor=250)
    make_subscription(organization=organization, label="lantern-smp", addon_prices=[addon])
    make_subscription(organization=organization, label="creative", at=NOON + timedelta(hours=3))
    make_subscription(organization=organization, currency="EUR", minor=500)
    other = make_subscription(minor=900)

    run = renew()

    euro, *dollars = invoices()
    assert (euro.total_minor, euro.state) == (500, InvoiceState.OPEN)
    assert sorted((row.organization_id, row.total_minor, row.due_at) for row in dollars) == sorted(
        [(organization.pk, 1850, END), (other.organization_id, 900, END)]
    )
    together = next(row for row in dollars if row.organization_id == organization.pk)
    lines = together.items.values_list("description", "amount_minor", "period_start", "period_end")
    one, two = END, END + timedelta(days=30)
    later = timedelta(hours=3)
    assert [tuple(line) for line in lines] == [
        ("creative · " + lines[0][0].partition(" · ")[2], 800, one + later, two + later),
        ("lantern-smp · " + lines[1][0].partition(" · ")[2], 800, one, two),
        ("lantern-smp · 1 GB more", 250, one, two),
    ]
    assert together.number is not None
    assert (together.seller, together.billing_address["billing_name"]) == (
        together.series.seller_details,
        organization.billing_name,
    )
    assert (run.state, run.counts) == (RunState.DONE, {"invoice": 3})
    assert AuditEntry.objects.filter(action="billing.renew").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "is_invoiced"),
    [
        ({}, True),
        ({"is_auto_renewed": False}, True),  # the customer is invoiced, and never charged automatically
        ({"status": SubscriptionStatus.PAST_DUE}, True),
        ({"cancels_at_period_end": True}, False),
        ({"billing_mode": "gateway"}, False),
        ({"status": SubscriptionStatus.SUSPENDED}, True),  # whose invoice was voided
        ({"status": SubscriptionStatus.ENDED}, False),
        ({"current_period_end": END + timedelta(days=1)}, False),  # not yet
    ],
)
def test_only_what_goes_on_is_invoiced(change: dict[str, Any], is_invoiced: bool) -> None:
    subscription = make_subscription()
    Subscription.objects.filter(pk=subscription.pk).update(**change)

    renew()

    assert len(invoices()) == is_invoiced


@pytest.mark.django_db
def test_whose_current_period_was_refunded_is_not_invoiced_again() -> None:
    sale = make_sale()
    refund(sale.settle(), 800)

    renew()

    assert invoices() == []


@pytest.mark.django_db
def test_a_second_run_changes_nothing_and_a_void_invoice_is_billed_again() -> None:
    make_subscription()
    renew()
    assert renew().counts == {}
    (invoice,) = invoices()

    Invoice.objects.filter(pk=invoice.pk).update(state=InvoiceState.VOID, voided_at=END)

    assert renew().counts == {"invoice": 1}
    assert InvoiceItem.objects.filter(period_start=END, is_void=False).count() == 1


@pytest.mark.django_db
def test_an_invoice_of_a_subscription_that_was_canceled_is_void_and_the_others_are_invoiced_again() -> None:
    organization = make_organization()
    canceled, kept = (make_subscription(organization=organization) for _ in range(2))
    renew()
    subscriptions.cancel_at_period_end(subscription=canceled, at=SOON)

    renew(END + timedelta(days=5))

    void, again = sorted(invoices(), key=lambda row: row.state != InvoiceState.VOID)
    assert (void.state, again.state, again.total_minor) == (InvoiceState.VOID, InvoiceState.OPEN, 800)
    assert again.due_at == void.due_at == END  # nobody has more time to pay because another canceled
    assert again.items.get().subscription_id == kept.pk


@pytest.mark.django_db
def test_what_is_free_is_paid_at_once() -> None:
    subscription = make_subscription(is_auto_renewed=False)
    make_free(subscription)

    run = renew()

    assert [(row.state, row.total_minor) for row in invoices()] == [(InvoiceState.PAID, 0)]
    assert subscription.reload().current_period_end == END + timedelta(days=30)
    assert run.counts == {"invoice": 1, "paid": 1}


@pytest.mark.django_db
def test_items_are_those_valid_in_the_next_period() -> None:
    subscription = make_subscription(addon_prices=[make_addon_price(minor=250), make_addon_price(minor=100)])
    over, new = subscription.items.filter(kind="addon")
    subscription.items.filter(pk=over.pk).update(valid_until=END)

    renew()

    (invoice,) = invoices()
    assert invoice.total_minor == 800 + 100
    assert set(invoice.items.values_list("subscription_item", flat=True)) >= {new.pk}


@pytest.mark.django_db
def test_a_period_that_began_long_ago_is_due_at_once_and_the_31st_comes_back() -> None:
    bought = datetime(2026, 1, 31, 9, tzinfo=UTC)
    subscription = make_subscription(at=bought)
    make_free(subscription)
    ends = []
    for _ in range(3):
        renew(datetime(2026, 6, 1, tzinfo=UTC))
        ends.append(f"{subscription.reload().current_period_end:%m-%d}")

    assert ends == ["03-31", "04-30", "05-31"]
    assert {row.due_at for row in invoices()} == {datetime(2026, 6, 1, tzinfo=UTC)}


@pytest.mark.django_db
def test_an_organization_that_cannot_be_invoiced_is_skipped_and_the_others_are_not() -> None:
    bad = make_subscription()
    others = [make_subscription() for _ in range(2)]

    def refuse(sql_execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "INSERT INTO billing_renewal_line" in sql and Subscription.objects.filter(
            pk=bad.pk, organization_id__gt=params["after"], organization_id__lte=params["until"]
        ):
            raise ArithmeticError("refused")
        return sql_execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        run = renew()

    assert run.state == RunState.INCOMPLETE
    assert run.skipped == {str(bad.organization_id): "ArithmeticError: refused"}
    assert {row.organization_id for row in invoices()} == {row.organization_id for row in others}


@pytest.mark.django_db
@pytest.mark.parametrize("prices", ["exclusive", "inclusive"])
def test_the_tax_of_a_renewal_is_that_of_a_first_sale(prices: str) -> None:
    TaxRate.objects.create(country="DE", rate=19, valid_from=NOON)
    for key, value in (("tax.status", "registered"), ("tax.country", "DE"), ("tax.prices", prices)):
        site_settings.set_value(key, value)
    organization = make_organization()
    Organization.objects.filter(pk=organization.pk).update(country="DE", region="", billing_name="Ada GmbH")
    organization.refresh_from_db()
    make_subscription(organization=organization, minor=333, currency="EUR")

    renew()

    first = Invoice.objects.get(due_at=None)
    (renewal,) = invoices()
    fields = ("net_minor", "tax_minor", "total_minor", "is_tax_inclusive", "billing_address", "place_evidence")
    assert [getattr(renewal, name) for name in fields] == [getattr(first, name) for name in fields]
    taxed = ("name", "category", "jurisdiction", "rate", "net_minor", "tax_minor", "currency", "position")
    assert list(renewal.taxes.values_list(*taxed)) == list(first.taxes.values_list(*taxed))
    assert renewal.tax_minor == (63 if prices == "exclusive" else 53)


@pytest.mark.django_db
def test_a_dry_run_lists_what_a_run_would_do_and_does_nothing() -> None:
    make_subscription(label="=lantern")
    listed, as_csv, done = StringIO(), StringIO(), StringIO()

    call_command("bill", at=f"{SOON:%Y-%m-%d %H:%M}", dry_run=True, stdout=listed)
    call_command("renew", at=f"{SOON:%Y-%m-%d %H:%M}", dry_run=True, csv=True, stdout=as_csv)

    assert invoices() == []
    assert Run.objects.count() == 0
    assert "invoice" in listed.getvalue()
    assert "$8.00" in listed.getvalue()
    assert as_csv.getvalue().splitlines()[1].split(",")[-2:] == ["8.00", "USD"]

    call_command("bill", at=f"{SOON:%Y-%m-%d %H:%M}", stdout=done)
    summaries = [json.loads(line) for line in done.getvalue().splitlines()]
    assert [(row["kind"], row["counts"]) for row in summaries] == [
        ("renew", {"invoice": 1}),
        ("collect", {}),
        ("meter", {}),
        ("dun", {}),
        ("expire", {}),
    ]


class Terminal(StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.django_db
def test_a_run_draws_its_progress_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SIZE", 1)
    for _ in range(2):
        make_subscription()
    terminal, file = Terminal(), StringIO()

    call_command("renew", at=f"{SOON:%Y-%m-%d %H:%M}", stdout=StringIO(), stderr=terminal)
    call_command("renew", at=f"{SOON:%Y-%m-%d %H:%M}", stdout=StringIO(), stderr=file)

    bars = [f"[{'':<40}] 0/2", f"[{'#' * 20:<40}] 1/2", f"[{'#' * 40}] 2/2"]
    assert [ANSI.sub("", bar) for bar in terminal.getvalue().strip().split("\r") if bar] == bars
    assert file.getvalue() == ""


@pytest.mark.django_db
def test_the_next_run_says_of_one_that_was_killed_that_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    killed, other = (Run.objects.create(kind=kind, at=SOON) for kind in (RunKind.RENEW, RunKind.DUN))
    renew()
    assert killed.reload().state == RunState.RUNNING  # it may still be at work

    monkeypatch.setattr(runner, "SILENCE", -timedelta(minutes=1))
    renew()

    assert (killed.reload().state, other.reload().state) == (RunState.INTERRUPTED, RunState.RUNNING)
    assert killed.reload().ended_at is not None


@pytest.mark.django_db
def test_what_is_not_due_yet_is_never_done_by_a_command() -> None:
    for name in ("bill", "renew", "collect", "dun", "expire"):
        with pytest.raises(CommandError, match="--dry-run"):
            call_command(name, at="2999-01-01")
    assert Run.objects.count() == 0
