"""A run that is killed anywhere and repeated, or runs beside another, ends as one that ran alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import Organization
from billing import ledger_audit
from billing.models import (
    Invoice,
    InvoiceItem,
    JournalEntry,
    Posting,
    Reminder,
    Run,
    RunKind,
    Subscription,
    SubscriptionPause,
    UsageCycle,
)
from billing.runs import runner
from support.models import Delivery
from tests.billing.sales import NOON, run_commit_triggers
from tests.billing.test_collect import top_up
from tests.billing.test_meter import HOUR, make_hourly
from tests.billing.test_renew import END, SOON, make_free, make_subscription
from tests.builders import make_organization
from tests.processes import ROOT, database_variables
from tests.threads import run_at_once

DAY = timedelta(days=1)


class Killed(BaseException):
    """The process ends here."""


def make_customers() -> None:
    """Two organizations with several subscriptions, one of them free, and two that pause from before SOON."""
    first, second = make_organization(), make_organization()
    for label, organization in (("a", first), ("b", first), ("c", second)):
        make_subscription(organization=organization, label=label)
    make_subscription(organization=second, label="euro", currency="EUR")
    make_free(make_subscription(organization=second, label="free", is_auto_renewed=False))
    for until, organization in ((SOON - DAY, first), (END, second)):
        paused = make_subscription(organization=organization, label=f"until {until:%d}", at=NOON - 10 * DAY)
        Subscription.objects.filter(pk=paused.pk).update(pauses_until=until)
    for minor, organization in (("0.69", first), ("90", first), ("1.2", second)):
        make_hourly(organization, minor=minor, label=minor, at=SOON)


def rows(invoice: str = "number") -> dict[str, list[Any]]:
    """What runs write, without the keys and the instants of writing; `invoice` is what tells invoices apart."""
    run_commit_triggers() if connection.in_atomic_block else None
    return {
        "invoices": sorted(
            Invoice.objects.values_list(
                invoice,
                "organization",
                "state",
                "usage_month",
                "total_minor",
                "currency",
                "due_at",
                "issued_at",
                "paid_at",
            ),
            key=str,
        ),
        "items": sorted(
            InvoiceItem.objects.values_list(
                f"invoice__{invoice}", "position", "description", "amount_minor", "period_start", "period_end"
            ),
            key=str,
        ),
        "postings": sorted(
            Posting.objects.values_list(f"entry__invoice__{invoice}", "entry__note", "account__kind", "amount_minor"),
            key=str,
        ),
        "subscriptions": list(
            Subscription.objects.order_by("pk").values_list("status", "current_period_start", "current_period_end")
        ),
        "pauses": sorted(SubscriptionPause.objects.values_list("subscription__label", "begun_at", "ended_at"), key=str),
        "hours": sorted(UsageCycle.objects.values_list("subscription__label", "hour", "unit_minor")),
        "counts": [JournalEntry.objects.count(), Reminder.objects.count(), Delivery.objects.count()],
    }


def statements_of(act: Callable[[], object], *, killed_at: int = -1) -> int:
    """Run the act, which dies before its statement of that number; how many there were."""
    count = 0

    def kill(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        if "SAVEPOINT" in sql:  # the rollback of a connection that is lost
            return execute(sql, params, many, context)
        if count == killed_at:
            raise Killed
        count += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(kill):
        act()
    return count


DAY = timedelta(days=1)
# What is done before a run, and when it is.
BEFORE: dict[RunKind, tuple[list[tuple[RunKind, datetime]], datetime]] = {
    RunKind.RENEW: ([], SOON),
    RunKind.COLLECT: ([(RunKind.RENEW, SOON)], END),
    RunKind.METER: ([(RunKind.METER, SOON)], END + 6 * HOUR),  # a wallet is short, and a month is over
    RunKind.DUN: ([(RunKind.RENEW, SOON)], END + 8 * DAY),
    RunKind.EXPIRE: ([(RunKind.RENEW, SOON), (RunKind.DUN, END + DAY), (RunKind.DUN, END + 8 * DAY)], END + 30 * DAY),
}
AT_ONCE = (RunKind.RENEW, RunKind.COLLECT, RunKind.METER)


def make_due(kind: RunKind) -> None:
    """The customers, two of them with something in their wallets, as the run finds them."""
    make_customers()
    if kind in AT_ONCE:
        for organization in Organization.objects.filter(subscriptions__label__in=["a", "c"]).distinct():
            top_up(organization, 4000)
    for earlier, when in BEFORE[kind][0]:
        runner.execute(earlier, at=when)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BEFORE)
def test_a_run_that_is_killed_anywhere_and_repeated_ends_as_undisturbed(
    kind: RunKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time from the beginning: it dies before a random statement, keeps what it committed, and is repeated."""
    monkeypatch.setattr("billing.runs.batches.SIZE", 1)  # a batch for each organization
    make_due(kind)
    run_commit_triggers()

    def run() -> Run:
        return runner.execute(kind, at=BEFORE[kind][1])

    with transaction.atomic():
        count = statements_of(run)
        expected = rows()
        transaction.set_rollback(True)
    assert rows() != expected
    random, halfway = Random(f"{kind}"), 0
    for _death in range(50):
        number = random.randrange(count)
        with transaction.atomic():
            before = rows()
            with pytest.raises(Killed), transaction.atomic(savepoint=False):
                statements_of(run, killed_at=number)
            connection.needs_rollback = False  # each batch rolled back to its own savepoint
            halfway += rows() not in (before, expected)
            run()
            assert rows() == expected, number
            transaction.set_rollback(True)
    assert halfway, "no death left a part of the run's work"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", AT_ONCE)
def test_three_runs_at_once_end_as_one(kind: RunKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row for row, but for which invoice has which number."""
    monkeypatch.setattr("billing.runs.batches.SIZE", 1)
    make_due(kind)
    at = BEFORE[kind][1]
    with transaction.atomic():
        runner.execute(kind, at=at)
        expected = rows("organization")
        transaction.set_rollback(True)
    assert rows("organization") != expected

    assert run_at_once(lambda: runner.execute(kind, at=at), times=3) == []

    assert rows("organization") == expected
    assert Run.objects.filter(kind=kind, at=at, skipped={}).count() == 3
    numbers = Invoice.objects.exclude(sequence=None).order_by("sequence").values_list("sequence", flat=True)
    assert list(numbers) == list(range(1, len(numbers) + 1))
    assert ledger_audit.broken_rules().keys() <= {"account_not_rows"}  # `top_up` has no payment


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_is_repeated_by_another(tmp_path: Any) -> None:
    make_customers()
    environment = os.environ | database_variables() | {"NODEBYTE_VAR": str(tmp_path), "REDIS_URL": ""}
    command = [sys.executable, "manage.py", "renew", "--at", f"{SOON:%Y-%m-%dT%H:%MZ}"]
    locked = Subscription.objects.order_by("pk")
    with transaction.atomic():  # the run waits for these and is killed while it does
        list(locked.select_for_update())
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not Run.objects.exists():
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert Invoice.objects.exclude(due_at=None).count() == 0

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert '"counts": {"end of pause": 1, "invoice": 4, "paid": 1, "pause": 2}' in done.stdout
    Run.objects.filter(state="running").update(started_at=SOON - timedelta(days=1))
    assert Invoice.objects.exclude(due_at=None).count() == 4
