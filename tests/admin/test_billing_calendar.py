"""The billing calendar: a day's invoices, charges, suspensions and deletions, and nothing is done."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import Organization
from billing import ledger, payments, subscriptions
from billing.models import (
    AutoTopUp,
    Invoice,
    Payment,
    PaymentMethod,
    PaymentState,
    Reminder,
    RunKind,
    Subscription,
    next_period_end,
)
from billing.runs import batches, calendar, runner
from core import clock, queue
from nodebyte import billing_calendar
from tests.billing.test_collect import top_up
from tests.billing.test_meter import make_hourly
from tests.billing.test_renew import make_subscription, renew
from tests.builders import make_organization

pytestmark = pytest.mark.django_db


def test_a_day_shows_what_its_runs_would_do_and_no_other(superadmin: Client) -> None:
    now = clock.now()
    make_subscription(at=now, label="lantern-smp")
    paid_until = Subscription.objects.get().current_period_end
    assert paid_until is not None
    days = {name: f"{paid_until - timedelta(days=7 - later):%Y-%m-%d}" for name, later in (("on", 0), ("after", 1))}

    pages = {
        name: superadmin.get(reverse("admin:billing_calendar"), {"day": day}).content.decode()
        for name, day in days.items()
    }
    csv = superadmin.get(reverse("admin:billing_calendar_csv"), {"day": days["on"]})

    assert "lantern-smp" in pages["on"]
    assert "Nothing on this day." in pages["after"]
    assert b"lantern-smp" in b"".join(csv)
    assert not Invoice.objects.exclude(due_at=None).exists()


def test_suspensions_and_deletions_are_shown_on_their_days(superadmin: Client) -> None:
    now = clock.now()
    make_subscription(at=now, label="lantern-smp")
    paid_until = Subscription.objects.get().current_period_end
    assert paid_until is not None
    renew(paid_until - timedelta(days=7))

    texts = []
    for later in (7, 21):
        day = f"{paid_until + timedelta(days=later):%Y-%m-%d}"
        texts.append(superadmin.get(reverse("admin:billing_calendar"), {"day": day}).content.decode())

    assert ["Suspension" in text for text in texts] == [True, False]
    assert [bool(re.search(r"\bDeletion\b", text)) for text in texts] == [False, True]
    assert not Reminder.objects.exists()


def add_card(organization: Organization, *, reference: str = "", expires_on: date | None = None) -> None:
    """A saved card, as its gateway told of it."""
    PaymentMethod.objects.create(
        organization=organization,
        gateway="stripe",
        reference=reference or f"pm_{organization.pk}",
        expires_on=expires_on,
        is_default=True,
    )


def top_up_below(organization: Organization, *, below: int, amount: int, at: datetime) -> None:
    """The organization's card tops the wallet up by itself."""
    AutoTopUp.objects.create(
        organization=organization, currency="USD", below_minor=below, amount_minor=amount, changed_at=at
    )


def kinds_on(day: datetime, *, now: datetime) -> dict[str, list[str]]:
    """What the day brings to each customer but reminders, by the name of their card."""
    found: dict[str, list[str]] = {}
    for entry in calendar.entries_of_day(day.date(), at=now):
        if entry.what in {"reminder", "overdue reminder"}:
            continue
        card = PaymentMethod.objects.filter(organization=entry.organization_id).first()
        found.setdefault(card.reference if card else "none", []).append(entry.what)
    return found


def test_who_can_be_charged_is_charged_month_after_month_and_who_cannot_is_suspended() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    cards = {"valid": now.date() + timedelta(days=900), "expired": now.date() + timedelta(days=9), "none": None}
    for name, expires_on in cards.items():
        organization = make_organization()
        make_subscription(at=now, organization=organization, label=name)
        if expires_on:
            add_card(organization, reference=name, expires_on=expires_on)
    april = next_period_end(now, "monthly", 1)
    may = next_period_end(april, "monthly", 1)

    assert kinds_on(april, now=now) == {"valid": ["charge"], "expired": ["charge"]}
    assert kinds_on(april + timedelta(days=7), now=now) == {"expired": ["suspension"], "none": ["suspension"]}
    assert kinds_on(april + timedelta(days=21), now=now) == {
        "expired": ["deletion", "end"],
        "none": ["deletion", "end"],
    }
    assert kinds_on(may - timedelta(days=7), now=now)["valid"] == ["invoice"]
    assert kinds_on(may, now=now)["valid"] == ["charge"]
    assert not Payment.objects.filter(state=PaymentState.PENDING).exists()


def test_an_automatic_top_up_is_shown_on_the_day_on_which_the_wallet_falls_below_its_limit(superadmin: Client) -> None:
    now = clock.now()
    row = make_subscription(at=now, label="lantern-smp")
    paid_until = row.current_period_end
    assert paid_until is not None
    top_up(row.organization, 1000)
    top_up_below(row.organization, below=500, amount=2500, at=now)
    add_card(row.organization)
    found = []
    for later in (-8, -7, 0, 1):
        entries = calendar.entries_of_day((paid_until + timedelta(days=later)).date(), at=now)
        found += [(later, str(entry.amount)) for entry in entries if entry.what == "top-up"]

    assert found in ([(-7, "$25.00")], [(0, "$25.00")])
    assert not Payment.objects.filter(is_automatic=True).exists()
    day = {"day": f"{paid_until + timedelta(days=found[0][0]):%Y-%m-%d}"}
    assert superadmin.get(reverse("admin:billing_calendar"), day).content.decode().count("$25.00") == 1


def test_who_is_topped_up_by_the_hour_is_charged_again_and_again_and_never_suspended() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    row = make_hourly(minor="40", at=now)  # $9.60 a day: more than the limit, so that a day may empty the wallet
    add_card(row.organization)
    top_up(row.organization, 600)
    top_up_below(row.organization, below=500, amount=2500, at=now)

    found = {
        later: [entry.what for entry in calendar.entries_of_day((now + timedelta(days=later)).date(), at=now)]
        for later in (0, 1, 3)
    }

    tops = [later for later, kinds in found.items() if "top-up" in kinds]
    assert tops == [0, 3]
    assert not {"suspension", "deletion"} & {kind for kinds in found.values() for kind in kinds}


def test_each_run_of_a_day_has_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def step_of(owner: UUID) -> runner.Step:
        def perform(_of: batches.OrganizationRange, _at: datetime) -> None:
            batches.execute("INSERT INTO billing_fact VALUES ('invoice', %(whose)s, '', now(), 1, 'USD')", whose)

        whose = {"whose": owner}
        due = "SELECT id AS organization_id FROM accounts_organization WHERE id = %(whose)s"
        return runner.Step(lambda _at: (due, whose), perform)

    ids = sorted([make_organization().pk, make_organization().pk], reverse=True)
    owners = dict(zip((RunKind.RENEW, RunKind.COLLECT), ids, strict=True))
    for kind, owner in owners.items():
        monkeypatch.setitem(runner.STEPS, kind, step_of(owner))

    found = calendar.entries(list(owners), at=clock.now())

    assert {entry.organization_id for entry in found} == set(owners.values())


@contextmanager
def held(lock: Callable[[], object]) -> Iterator[None]:
    """Somebody else holds the locks that `lock` takes, in a transaction of their own."""
    is_locked, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                lock()
                is_locked.set()
                assert is_done.wait(timeout=60)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_locked.wait(timeout=60)
    try:
        yield
    finally:
        is_done.set()
        holder.join()


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_nobody_and_says_whom_it_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    busy, free = (make_subscription(at=now, label=label) for label in ("busy-smp", "free-smp"))
    for row in (busy, free):
        add_card(row.organization)
    end = busy.current_period_end
    assert end is not None
    issued = end - timedelta(days=7)

    with held(lambda: subscriptions.lock_subscription(busy.pk)):
        found = list(calendar.entries((RunKind.RENEW,), at=issued))
    assert {(entry.what, entry.organization_id) for entry in found} == {
        ("busy", busy.organization_id),
        ("invoice", free.organization_id),
    }

    renew(issued)
    invoices = Invoice.objects.filter(organization=busy.organization).exclude(due_at=None)
    with held(lambda: list(invoices.select_for_update(no_key=True))):  # when charges are asked for
        found = list(calendar.entries((RunKind.COLLECT,), at=end))
    assert {(entry.what, entry.organization_id) for entry in found} == {
        ("busy", busy.organization_id),
        ("charge", free.organization_id),
    }

    methods = PaymentMethod.objects.select_for_update(no_key=True)  # which nothing else locks
    monkeypatch.setattr(ledger, "pay_receivable", lambda *_args, **_kwargs: list(methods.all()))
    with held(lambda: list(methods.all())):  # when a charge is settled
        found = list(calendar.entries((RunKind.COLLECT,), at=end))
    assert [entry.what for entry in found] == ["busy", "busy"]
    assert not [record for record in caplog.records if record.exc_info]


def contents() -> dict[str, object]:
    """All rows of all tables, and how far the sequences are."""
    found: dict[str, object] = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(
                f'SELECT count(*), md5(string_agg(row::text, chr(10) ORDER BY row::text)) FROM "{table}" row'
            )
            found[table] = cursor.fetchone()
        cursor.execute("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
        found["sequences"] = cursor.fetchall()
    return found


@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_behind_and_nobody_outside_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    monthly, hourly = make_subscription(at=now, label="lantern-smp"), make_hourly(minor="1", at=now)
    for row in (monthly, hourly):
        add_card(row.organization)
    top_up_below(hourly.organization, below=2000, amount=2500, at=now)
    end = monthly.current_period_end
    assert end is not None
    outside: list[object] = []
    waits: set[str] = set()
    real_receive = payments.receive

    def receive(*args: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            waits.add(cursor.fetchall()[0][0])
        real_receive(*args)

    monkeypatch.setattr(payments, "receive", receive)
    monkeypatch.setattr(queue, "send", lambda *args, **_kwargs: outside.append(args))
    monkeypatch.setattr(socket.socket, "connect", lambda _socket, address: outside.append(address))
    before = contents()

    found = list(calendar.entries(RunKind, at=end, after=[now]))

    assert {"charge", "top-up", "usage"} <= {entry.what for entry in found}
    assert contents() == before
    assert (outside, connection.run_on_commit) == ([], [])
    assert waits == {"200ms"}  # who pays goes first, in settlements too
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchall() == [("0",)]


@pytest.mark.parametrize("limit", ["page", "statement"])
def test_a_day_that_takes_too_long_says_so(superadmin: Client, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    make_subscription(at=clock.now())
    if limit == "page":
        monkeypatch.setattr(billing_calendar, "PATIENCE", timedelta(days=-1))
    else:

        def sleep(_of: object, _at: object) -> None:
            batches.execute("SELECT pg_sleep(9)")

        monkeypatch.setattr(runner, "STEPS", {RunKind.RENEW: runner.Step(runner.STEPS[RunKind.RENEW].due, sleep)})
        monkeypatch.setattr(calendar, "STATEMENT_TIMEOUT", "SET LOCAL statement_timeout = '100ms'")
    day = f"{clock.now() + timedelta(days=25):%Y-%m-%d}"

    answer = superadmin.get(reverse("admin:billing_calendar"), {"day": day})

    assert answer.status_code == 200
    assert "takes too long" in answer.content.decode()


def test_who_may_not_see_runs_gets_nothing(client: Client) -> None:
    assert client.get(reverse("admin:billing_calendar")).status_code == 302


@pytest.mark.parametrize("day", ["2020-01-01", "9999-01-01", "x"])
def test_a_day_that_nobody_can_know_is_refused(superadmin: Client, day: str) -> None:
    assert superadmin.get(reverse("admin:billing_calendar"), {"day": day}).status_code == 400
