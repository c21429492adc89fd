"""Events that no webhook brought are listed, stored and processed like those that came."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import tasks
from billing.gateways.stripe import client
from billing.models import EventResult, GatewayCursor, GatewayEvent, InvoiceState, PaymentState
from billing.reconciliation import catch_up
from core import outside
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale, run_due
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import write
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "GET /v1/events"
PAID = {
    "checkout.session.completed",
    "payment_intent.succeeded",
    "payment_method.attached",
}  # the events of a purchase that we follow


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """An order that was paid; no webhook came."""
    sale = make_sale(at=timezone.now())
    stripe_sandbox.pay(sale.create_session())
    return sale


def catch_up_events(at: datetime | None = None) -> int:
    """Look for events that never came."""
    return catch_up.catch_up_events(gateway="stripe", at=at or timezone.now())


def test_an_event_that_never_came_is_processed_as_if_its_webhook_had(sale: Sale) -> None:
    assert catch_up_events() == len(PAID)

    while run_due():
        pass

    assert set(GatewayEvent.objects.values_list("type", "result")) == {(kind, EventResult.PROCESSED) for kind in PAID}
    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert catch_up_events() == 0


def test_an_event_that_came_is_not_stored_again(sale: Sale, stripe_sandbox: Sandbox) -> None:
    deliver_webhooks(stripe_sandbox)
    stored = GatewayEvent.objects.count()
    assert catch_up_events() == 0
    assert GatewayEvent.objects.count() == stored


def test_an_event_listed_late_with_an_earlier_instant_is_found(sale: Sale, stripe_sandbox: Sandbox) -> None:
    catch_up_events()
    GatewayCursor.objects.update(read_until=timezone.now() + timedelta(minutes=5))  # a later event was seen already
    GatewayEvent.objects.all().delete()
    assert catch_up_events(timezone.now() + timedelta(minutes=10)) == len(PAID)


def test_a_list_of_many_pages_is_read_to_its_end(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PER_PAGE", 2)
    for _ in range(4):
        other = make_sale(at=timezone.now())
        stripe_sandbox.pay(other.create_session())
    assert catch_up_events() == 5 * len(PAID)


def test_a_page_that_is_not_answered_loses_nothing(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PER_PAGE", 2)
    for _ in range(4):
        other = make_sale(at=timezone.now())
        stripe_sandbox.pay(other.create_session())
    stripe_sandbox.arm("stripe", LIST, "lose_answer", after=1, times=0)
    with pytest.raises(outside.Unavailable):
        catch_up_events()
    assert tasks.catch_up_events() == 0  # the schedule goes on
    stripe_sandbox.clear_faults()

    assert catch_up_events() == 5 * len(PAID)


def test_a_run_killed_in_a_long_outage_goes_on_where_it_was(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.advance(timedelta(days=5).total_seconds())
    later = timezone.now() + timedelta(days=5)
    # A window is two lists: the types that we follow are too many for one.
    stripe_sandbox.arm("stripe", LIST, "status", status=503, after=2, times=0)
    with pytest.raises(outside.Unavailable):
        catch_up_events(later)
    assert GatewayEvent.objects.count() == len(PAID)
    stripe_sandbox.clear_faults()

    assert catch_up_events(later) == 0
    assert GatewayEvent.objects.count() == len(PAID)


def test_two_runs_at_once_store_each_event_once(sale: Sale, stripe_sandbox: Sandbox) -> None:
    for _ in range(3):
        other = make_sale(at=timezone.now())
        stripe_sandbox.pay(other.create_session())

    assert run_at_once(catch_up_events, times=4) == []
    assert GatewayEvent.objects.count() == 4 * len(PAID)


def test_after_an_outage_longer_than_events_are_kept_the_rest_is_read_and_the_gap_is_logged(
    sale: Sale, stripe_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    stripe_sandbox.advance(timedelta(days=40).total_seconds())
    later = timezone.now() + timedelta(days=40)
    other = make_sale(at=later)
    stripe_sandbox.pay(other.create_session(at=later))

    with caplog.at_level(logging.ERROR):
        assert catch_up_events(later + timedelta(minutes=1)) == len(PAID)

    assert "lists no events before" in caplog.text


def test_before_the_first_customer_nothing_is_asked(stripe_sandbox: Sandbox) -> None:
    assert catch_up_events(datetime(2026, 3, 1, tzinfo=UTC)) == 0
    assert stripe_sandbox.requests("stripe") == []


def test_a_payload_with_a_character_that_postgresql_refuses_is_stored(sale: Sale, stripe_sandbox: Sandbox) -> None:
    intent = stripe_sandbox.stripe_state()["payment_intent"][0]["id"]
    params: Any = {"payment_intent": intent, "metadata": {"note": "a\x00b\\u0000"}}
    write("refund", lambda stripe: stripe.v1.refunds.create(params))

    catch_up_events()

    payload = GatewayEvent.objects.get(type="refund.created").payload
    assert payload["data"]["object"]["metadata"] == {"note": "ab\\u0000"}
