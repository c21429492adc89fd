"""A customer pauses a server: asked until when, stopped after its paid time, and started when the next time is paid."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import pausing as billing_pausing
from billing.ledger_audit import broken_rules
from billing.models import Invoice, InvoiceState, RunKind, Subscription, SubscriptionStatus
from billing.runs import runner
from core import site_settings
from core.models import AuditEntry
from orders import holds, pausing
from orders.changes.quoting import ChangeRefused
from orders.models import Order, OrderStatus
from servers import services as servers
from servers.models import HoldKind, Reservation, ReservationState, Server, ServerHold, ServerStatus
from support.models import Delivery
from tests.billing.sales import run_commit_triggers
from tests.builders import make_user
from tests.orders.sold import APRIL, MAY, MIDDLE, Sold, make_sold

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _pauses_are_offered() -> None:
    site_settings.set_value("billing.max_pause_days", 30)


def url(sold: Sold, name: str = "pause") -> str:
    return reverse(f"subscriptions:{name}", kwargs={"pk": sold.subscription.pk})


def sign_in(sold: Sold) -> Client:
    client = Client()
    client.force_login(sold.user)
    return client


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def is_held(sold: Sold) -> bool:
    return ServerHold.objects.filter(server=sold.server, lifted_at=None).exists()


def pause(sold: Sold, *, days: int = 20) -> None:
    over = sold.subscription.current_period_end
    assert over is not None
    pausing.pause(subscription=sold.subscription, until=over + days * DAY, actor=sold.user, at=over - DAY)


def test_the_page_says_what_a_pause_means_and_refuses_other_days_beside_the_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sold = make_sold(at=timezone.now().replace(microsecond=0))
    client = sign_in(sold)
    assert url(sold) in text_of(client, "/subscriptions/")
    page = text_of(client, url(sold))
    for words in ("Your server runs until then.", "Nothing is billed while it pauses.", "renews ($8.00, Monthly)"):
        assert words in page
    first, last = billing_pausing.days_to_resume(sold.subscription)

    for day, words in (
        ("", "Choose the day"),
        ("tomorrow", "Enter a valid date"),
        (timezone.now().date() - DAY, "or later"),
        (first - DAY, "or later"),
        (last + DAY, "or earlier"),
    ):
        answer = client.post(url(sold), {"until": day, "sent": "1"})
        assert answer.status_code == 422
        assert words in answer.content.decode()
    with monkeypatch.context() as moved:  # while the form was sent
        days = iter([first, last])
        moved.setattr(billing_pausing, "days_to_resume", lambda _row: (next(days), last))
        answer = client.post(url(sold), {"until": first})
    assert (answer.status_code, "can no longer be chosen" in answer.content.decode()) == (422, True)
    assert sold.subscription.pauses_until is None

    assert client.post(url(sold), {"until": last}).status_code == 302
    assert sold.subscription.pauses_until == sold.subscription.current_period_end + 30 * DAY  # type: ignore[operator]
    page = text_of(client, "/subscriptions/")
    assert "Pauses from" in page
    assert "Do not pause" in page
    assert AuditEntry.objects.get(action="subscription.pause").actor_id == sold.user.pk
    assert Delivery.objects.filter(event="subscription.pausing", user=sold.user).count() == 1
    answer = client.post(url(sold), {"until": last})
    assert (answer.status_code, "planned already" in answer.content.decode()) == (422, True)

    client.post(url(sold, "end_pause"))
    assert sold.subscription.pauses_until is None
    assert "Renews" in text_of(client, "/subscriptions/") or "Paid until" in text_of(client, "/subscriptions/")


def test_a_paused_server_is_stopped_and_kept_and_starts_when_the_resumed_period_is_paid() -> None:
    sold = make_sold(at=timezone.now().replace(microsecond=0) - 40 * DAY)
    client = sign_in(sold)
    pause(sold)
    over = sold.subscription.current_period_end
    assert over is not None
    runner.execute(RunKind.RENEW, at=over - timedelta(seconds=1))
    assert not is_held(sold)

    for _twice in range(2):
        runner.execute(RunKind.RENEW, at=over)
        holds.review(at=over)
        assert is_held(sold)
    assert Reservation.objects.get(server=sold.server).state == ReservationState.CONFIRMED
    Server.objects.filter(pk=sold.server.pk).update(status=ServerStatus.SUSPENDED)
    assert "This server is paused until" in text_of(client, reverse("servers:detail", kwargs={"pk": sold.server.pk}))
    for address in (reverse("servers:list"), reverse("dashboard")):
        page = text_of(client, address)
        assert ("Paused" in page, "Suspended" in page) == (True, False)
    by_staff: dict[str, Any] = {"kind": HoldKind.ABUSE, "actor": None, "at": over}
    servers.hold_servers(server_ids=[sold.server.pk], reason="mined coins", **by_staff)
    assert "Suspended" in text_of(client, reverse("servers:list"))
    assert "Suspended" in text_of(client, reverse("dashboard"))
    servers.lift_holds(server_ids=[sold.server.pk], **by_staff)
    page = text_of(client, "/subscriptions/")
    assert "Paused until" in page
    assert "Resume" in page

    assert client.post(url(sold, "end_pause")).status_code == 302
    run_commit_triggers()
    assert sold.subscription.status == SubscriptionStatus.SUSPENDED
    invoice = Invoice.objects.get(state=InvoiceState.OPEN)
    assert is_held(sold)
    assert Delivery.objects.filter(event="subscription.resumed").count() == 1
    assert f"invoice {invoice.number}" in text_of(client, reverse("servers:detail", kwargs={"pk": sold.server.pk}))

    sold.give_credit(800)
    Subscription.objects.update(is_auto_renewed=True)
    runner.execute(RunKind.COLLECT, at=timezone.now() + timedelta(minutes=1))
    assert sold.subscription.status == SubscriptionStatus.ACTIVE
    assert not is_held(sold)
    assert "pause_not_kept" not in broken_rules()


def test_a_stranger_finds_nothing_to_pause_or_resume() -> None:
    sold = make_sold(at=timezone.now().replace(microsecond=0))
    client = Client()
    client.force_login(make_user("eve@example.test"))
    for name in ("pause", "end_pause"):
        assert client.post(url(sold, name), {"until": "2030-01-01"}).status_code == 404
    assert not AuditEntry.objects.filter(action__startswith="subscription.").exists()


def test_a_shop_that_offers_no_pauses_shows_none() -> None:
    site_settings.set_value("billing.max_pause_days", 0)
    sold = make_sold(at=timezone.now().replace(microsecond=0))
    client = sign_in(sold)
    assert url(sold) not in text_of(client, "/subscriptions/")
    assert "Subscriptions cannot be paused." in text_of(client, url(sold))


def test_a_change_of_plan_and_a_pause_exclude_each_other_and_what_is_not_set_up_is_not_paused() -> None:
    sold = make_sold()
    change = sold.confirm(sold.request(sold.offer.large))
    with pytest.raises(billing_pausing.PauseRefused, match="change of this server"):
        pausing.pause(subscription=sold.subscription, until=MAY + DAY, actor=sold.user, at=MIDDLE)
    assert sold.subscription.pauses_until is None
    assert change.reload().status == "pending_payment"

    other = make_sold()
    Order.objects.filter(pk=other.item.order_id).update(status=OrderStatus.PROVISIONING)
    with pytest.raises(billing_pausing.PauseRefused, match="set up"):
        pause(other)
    Order.objects.filter(pk=other.item.order_id).update(status=OrderStatus.ACTIVE)
    pause(other)
    with pytest.raises(ChangeRefused, match="This server pauses"):
        other.request(other.offer.large, at=APRIL + DAY)
