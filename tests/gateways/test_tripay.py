"""What only Tripay has: channels with lifetimes and fees, callbacks without ids, refunds made by its staff."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing import payment_sync
from billing.gateways.base import driver_of
from billing.gateways.tripay import client
from billing.ledger_audit import broken_rules
from billing.manual_refunds import record_manual_refund
from billing.models import (
    AccountKind,
    GatewayEvent,
    InvoiceState,
    Payment,
    PaymentState,
    RefundState,
    UnexplainedItem,
)
from core import site_settings
from core.models import WorkState
from core.money import Money
from orders.models import OrderStatus
from sandbox.client import Sandbox
from sandbox.tripay import merchant
from servers.models import Reservation, ReservationState
from tests.billing.sales import Sale, balance, make_sale, run_due
from tests.gateways.adapters import Tripay
from tests.shop import create_session, make_shop, place_order

pytestmark = pytest.mark.django_db(transaction=True)
VECTOR = "3f806211f885f8d4ea797ee879d67972f03c47b019ef81b24750f5dba01dd3ed"  # of the contract


def make_tripay_sale(tripay: Tripay, channel: str = "BRIVA") -> Sale:
    sale = make_sale(
        minor=tripay.minor, currency=tripay.currency, gateway=tripay.code, is_auto_renewed=False, at=timezone.now()
    )
    Payment.objects.filter(pk=sale.payment.pk).update(channel=channel)
    return sale


def deliver(messages: list[dict[str, Any]]) -> list[int]:
    statuses = [Client().post("/webhooks/tripay/", **message).status_code for message in messages]
    while run_due():
        pass
    return statuses


def paid_sale(tripay: Tripay, channel: str = "BRIVA") -> Sale:
    sale = make_tripay_sale(tripay, channel)
    sale.create_session()
    assert tripay.pay(tripay.sessions()[0])
    deliver(tripay.signed())
    return sale


def test_we_sign_as_the_contract_says() -> None:
    signed = client.signature("sim-private-key-001", b"T12345INV-2026-0001150000")

    assert signed == merchant.signature("sim-private-key-001", b"T12345INV-2026-0001150000") == VECTOR


@pytest.mark.parametrize("includes_fee", [False, True])
def test_whoever_pays_the_fee_the_invoice_is_paid_exactly(tripay: Tripay, includes_fee: bool) -> None:
    tripay.sandbox.settings["amount_includes_fee"] = includes_fee
    for channel in ("BRIVA", "BCAVA", "INDOMARET", "QRIS", "OVO"):
        sale = make_tripay_sale(tripay, channel)
        sale.create_session()
        row = next(reversed(tripay.sandbox.transactions.values()))
        assert row["payment_method"] == channel
        assert tripay.pay(row["reference"])
        deliver(tripay.signed()[-1:])

        assert sale.invoice.reload().state == InvoiceState.PAID
    assert -balance(AccountKind.CLEARING, "IDR") == tripay.held()
    assert broken_rules() == {}


def test_fees_are_those_that_the_customer_will_pay(tripay: Tripay) -> None:
    driver: Any = driver_of("tripay")
    shown = {channel.code: channel.fee.minor // 100 for channel in driver.list_channels(Money(150_000_00, "IDR"))}

    assert shown == {"BRIVA": 0, "BCAVA": 5500, "BSIVA": 0, "INDOMARET": 1750, "QRIS": 0, "OVO": 4500}
    least = {channel.code: channel.fee.minor // 100 for channel in driver.list_channels(Money(2_000_00, "IDR"))}
    assert least == {"QRIS": 0, "OVO": 1000}


def test_each_request_has_a_reference_of_its_own_and_all_are_looked_for(tripay: Tripay) -> None:
    sale = make_tripay_sale(tripay)
    tripay.lose_answer()
    sale.create_session()  # found after the lost answer
    (first,) = tripay.sessions()
    Payment.objects.update(session_id=None, session_url="")
    delayed = tripay.sandbox.transactions.pop(first)
    sale.create_session(at=timezone.now() + timedelta(minutes=2))
    tripay.sandbox.transactions[first] = delayed

    references = [row["merchant_ref"] for row in tripay.sandbox.transactions.values()]
    assert len(set(references)) == 2
    found = driver_of("tripay").find_sessions(customer="", payment_id=sale.payment.pk, attempts=2)
    assert {session.reference for session in found} == set(tripay.sessions())


def test_a_callback_that_comes_before_the_answer_settles_the_payment(tripay: Tripay) -> None:
    sale = make_tripay_sale(tripay)
    tripay.lose_answer()
    tripay.running.fault("GET /api-sandbox/merchant/transactions", "status", times=3)
    with pytest.raises(Exception, match="Tripay"):
        sale.create_session()
    assert sale.payment.reload().session_id is None
    assert tripay.pay(tripay.sessions()[0])

    assert deliver(tripay.signed()) == [200]

    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_an_old_status_delivered_again_for_ever_undoes_nothing(tripay: Tripay) -> None:
    sale = make_tripay_sale(tripay)
    sale.create_session()
    (reference,) = tripay.sessions()
    tripay.sandbox.change(reference, "EXPIRED")
    tripay.sandbox.change(reference, "PAID")  # the bank confirmed late
    expired, paid = tripay.signed()

    for messages in ([paid, expired], [expired, paid], [expired] * 3):
        assert set(deliver(messages)) == {200}
        assert sale.payment.reload().state == PaymentState.SUCCEEDED
        assert sale.invoice.reload().state == InvoiceState.PAID
    assert GatewayEvent.objects.count() == 2


@pytest.mark.parametrize("switch", ["other_key", "bad_signature", "unknown_event"])
def test_what_is_not_a_callback_of_ours_is_refused_in_json(tripay: Tripay, switch: str) -> None:
    make_tripay_sale(tripay).create_session()
    tripay.sandbox.switches = [switch]
    tripay.pay(tripay.sessions()[0])
    (sent,) = tripay.sandbox.callbacks
    message = tripay.request(sent["body"], sent["signature"])
    message["headers"]["X-Callback-Event"] = sent["event"]

    answer = Client().post("/webhooks/tripay/", **message)

    assert (answer.status_code, answer.json()) == (400, {"success": False})
    assert not GatewayEvent.objects.exists()


def test_a_status_that_is_visible_only_after_the_bank_was_asked_is_found(tripay: Tripay) -> None:
    tripay.sandbox.settings["lag_seconds"] = 3600
    sale = paid_sale(tripay)

    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_refund_that_tripays_staff_made_is_booked_once(tripay: Tripay) -> None:
    sale = paid_sale(tripay)
    tripay.sandbox.change(tripay.sessions()[0], "REFUND")
    for _ in range(2):
        assert set(deliver(tripay.signed())) == {200}

    refund = sale.payment.refunds.get()
    assert (refund.state, refund.amount_minor) == (RefundState.SUCCEEDED, tripay.minor)
    assert sale.payment.reload().state == PaymentState.REFUNDED
    assert sale.invoice.reload().state == InvoiceState.REFUNDED
    assert GatewayEvent.objects.exclude(state=WorkState.DONE).count() == 0
    assert broken_rules() == {}


@pytest.mark.parametrize("recorded", [50_000_00, 150_000_00])
def test_what_tripay_refunds_beyond_what_staff_recorded_by_hand_is_booked_and_the_rest_is_for_staff(
    tripay: Tripay, recorded: int
) -> None:
    sale = paid_sale(tripay)
    at, payment = timezone.now(), sale.payment.reload()
    record_manual_refund(
        payment=payment,
        amount=Money(recorded, "IDR"),
        reference="RF-1",
        sent_on=at.date(),
        reason="slow",
        actor=None,
        at=at,
    )
    tripay.sandbox.change(tripay.sessions()[0], "REFUND")
    for _ in range(2):
        assert set(deliver(tripay.signed())) == {200}

    amounts = sale.payment.refunds.order_by("created_at").values_list("amount_minor", flat=True)
    assert list(amounts) == [part for part in (recorded, tripay.minor - recorded) if part]
    assert sale.payment.reload().state == PaymentState.REFUNDED
    assert UnexplainedItem.objects.get().amount_minor == recorded
    assert GatewayEvent.objects.exclude(state=WorkState.DONE).count() == 0
    assert broken_rules() == {}


def test_a_refund_whose_payment_was_never_reported_is_booked_after_it(tripay: Tripay) -> None:
    sale = make_tripay_sale(tripay)
    sale.create_session()
    tripay.sandbox.change(tripay.sessions()[0], "PAID")
    tripay.sandbox.change(tripay.sessions()[0], "REFUND")

    deliver(tripay.signed()[-1:])

    assert sale.payment.reload().state == PaymentState.REFUNDED
    assert broken_rules() == {}


def test_a_channel_that_must_be_open_for_an_hour_reserves_for_an_hour(sandbox: Sandbox, tripay: Tripay) -> None:
    shop = make_shop(sandbox, minor=tripay.minor, currency=tripay.currency)
    shop.organization.currency = tripay.currency
    shop.organization.save()
    at = timezone.now()
    order = place_order(shop, at=at)
    Payment.objects.update(channel="BRIVA", gateway="tripay")

    assert create_session(order, at=at)

    payment, reservation = Payment.objects.get(), Reservation.objects.get(state=ReservationState.RESERVED)
    hour = at + timedelta(hours=1)
    assert payment.expires_at is not None
    assert reservation.expires_at is not None
    assert hour < payment.expires_at == order.reload().expires_at < reservation.expires_at
    assert order.status == OrderStatus.PENDING_PAYMENT


def test_a_channel_that_is_open_for_an_hour_at_most_is_asked_for_no_more(tripay: Tripay) -> None:
    site_settings.set_value("orders.reservation_minutes", 600)
    sale = make_tripay_sale(tripay, "QRIS")
    Payment.objects.update(expires_at=timezone.now() + timedelta(minutes=600))

    assert sale.create_session()

    tripay.advance(61 * 60)
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now() + timedelta(minutes=61))
    assert sale.payment.reload().state == PaymentState.EXPIRED
