"""The billing calendar: a day's invoices, charges, suspensions and deletions, and nothing is done."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from billing import subscriptions
from billing.models import (
    AutoTopUp,
    Invoice,
    Payment,
    PaymentMethod,
    PaymentState,
    Reminder,
    Subscription,
    next_period_end,
)
from billing.runs import calendar
from core import clock
from tests.billing.test_collect import top_up
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
    assert ["Deletion" in text for text in texts] == [False, True]
    assert not Reminder.objects.exists()


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
            PaymentMethod.objects.create(
                organization=organization, gateway="stripe", reference=name, expires_on=expires_on, is_default=True
            )
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
    AutoTopUp.objects.create(
        organization=row.organization, currency="USD", below_minor=500, amount_minor=2500, changed_at=now
    )
    PaymentMethod.objects.create(
        organization=row.organization, gateway="stripe", reference="pm_1", brand="visa", last4="4242", is_default=True
    )
    found = []
    for later in (-8, -7, 0, 1):
        entries = calendar.entries_of_day((paid_until + timedelta(days=later)).date(), at=now)
        found += [(later, str(entry.amount)) for entry in entries if entry.what == "top-up"]

    assert found in ([(-7, "$25.00")], [(0, "$25.00")])
    assert not Payment.objects.filter(is_automatic=True).exists()
    day = {"day": f"{paid_until + timedelta(days=found[0][0]):%Y-%m-%d}"}
    assert superadmin.get(reverse("admin:billing_calendar"), day).content.decode().count("$25.00") == 1


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_no_payment_and_says_whom_it_left_out() -> None:
    now = clock.now()
    busy, free = (make_subscription(at=now, label=label) for label in ("busy-smp", "free-smp"))
    assert busy.current_period_end is not None
    day = (busy.current_period_end - timedelta(days=7)).date()
    is_locked, is_read = threading.Event(), threading.Event()

    def pay() -> None:
        try:
            with transaction.atomic():
                subscriptions.lock_subscription(busy.pk)
                is_locked.set()
                assert is_read.wait(timeout=60)
        finally:
            connections.close_all()

    payer = threading.Thread(target=pay)
    payer.start()
    assert is_locked.wait(timeout=60)
    try:
        found = list(calendar.entries_of_day(day, at=now))
    finally:
        is_read.set()
        payer.join()

    assert {(entry.what, entry.organization_id) for entry in found} == {
        ("busy", busy.organization_id),
        ("invoice", free.organization_id),
    }


def test_who_may_not_see_runs_gets_nothing(client: Client) -> None:
    assert client.get(reverse("admin:billing_calendar")).status_code == 302


@pytest.mark.parametrize("day", ["2020-01-01", "9999-01-01", "x"])
def test_a_day_that_nobody_can_know_is_refused(superadmin: Client, day: str) -> None:
    assert superadmin.get(reverse("admin:billing_calendar"), {"day": day}).status_code == 400
