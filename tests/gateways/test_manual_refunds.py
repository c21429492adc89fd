"""Refunds that staff made by hand at the gateway: what is recorded, and what is refused."""

import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.test import Client

from billing import refunds
from billing.ledger_audit import broken_rules
from billing.manual_refunds import AlreadyRecorded, record_manual_refund
from billing.models import AccountKind, Payment, Refund
from billing.refunds import NotRefundable
from core.money import Money
from tests.billing.sales import NOON, Sale, balance, make_sale
from tests.builders import make_staff
from tests.gateways.adapters import Tripay
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db
PAID_ON = NOON.date()
LATER = NOON + timedelta(days=9)


@pytest.fixture
def sale(tripay: Tripay) -> Sale:
    """A sale whose payment is open at a gateway that cannot be asked for refunds."""
    return make_sale(minor=tripay.minor, currency=tripay.currency, gateway=tripay.code, is_auto_renewed=False)


def record(payment: Payment, minor: int = 50_000_00, reference: str = "RF-1", sent_on: date = PAID_ON) -> Refund:
    amount = Money(minor, payment.currency)
    return record_manual_refund(
        payment=payment, amount=amount, reference=reference, sent_on=sent_on, reason="slow", actor=None, at=LATER
    )


def test_a_refund_by_hand_is_dated_by_the_day_on_which_it_was_sent(sale: Sale) -> None:
    payment = sale.settle()

    refund = record(payment, sent_on=PAID_ON + timedelta(days=2))

    assert refund.reload().settled_at == datetime.combine(PAID_ON + timedelta(days=2), time.min, UTC)
    assert payment.reload().refundable == Money(100_000_00, "IDR")
    assert balance(AccountKind.CLEARING, "IDR") == -100_000_00
    assert broken_rules() == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"minor": 100_000_01}, "cannot be refunded"),
        ({"minor": 0}, "cannot be refunded"),
        ({"reference": "RF-1"}, "recorded already"),
        ({"sent_on": PAID_ON - timedelta(days=1)}, "not between"),
        ({"sent_on": LATER.date() + timedelta(days=1)}, "not between"),
    ],
)
def test_a_refund_by_hand_that_cannot_have_been_sent_is_refused(
    sale: Sale, changes: dict[str, object], reason: str
) -> None:
    payment = sale.settle()
    record(payment)

    with pytest.raises(NotRefundable, match=reason):
        record(payment, **{"reference": "RF-2"} | changes)  # type: ignore[arg-type]

    assert Refund.objects.count() == 1


def test_no_refund_by_hand_is_recorded_of_money_that_did_not_arrive(sale: Sale) -> None:
    with pytest.raises(NotRefundable, match="pending"):
        record(sale.payment)


def test_no_refund_by_hand_is_recorded_where_the_gateway_is_asked_for_refunds() -> None:
    with pytest.raises(NotRefundable, match="asked for its refunds"):
        record(make_sale().settle(), minor=800)


def another_sale(tripay: Tripay) -> Sale:
    return make_sale(minor=tripay.minor, currency=tripay.currency, gateway=tripay.code, is_auto_renewed=False)


def test_a_reference_that_is_recorded_of_another_payment_is_refused_beside_its_field(
    sale: Sale, tripay: Tripay, client: Client
) -> None:
    record(sale.settle())
    payment = another_sale(tripay).settle()
    client.force_login(make_staff(is_superuser=True))
    sent = {"amount": "50000", "reference": "RF-1", "sent_on": PAID_ON, "reason": "slow", "_form_submitted": "True"}

    answer = client.post(f"/admin/billing/payment/{payment.pk}/manual-refund/", sent)

    assert answer.status_code == 422
    assert answer.context["form"].errors == {"reference": ["A refund with this reference is recorded already."]}
    assert Refund.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_reference_typed_for_two_payments_at_once_is_recorded_of_one(
    sale: Sale, tripay: Tripay, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = iter([sale.settle(), another_sale(tripay).settle()])
    have_looked, record_refund = threading.Barrier(2, timeout=30), refunds.record_refund

    def wait_for_the_other(**arguments: Any) -> Refund | None:
        have_looked.wait()
        return record_refund(**arguments)

    monkeypatch.setattr(refunds, "record_refund", wait_for_the_other)

    errors = run_at_once(lambda: record(next(both)), times=2)

    assert [type(error) for error in errors] == [AlreadyRecorded]
    assert Refund.objects.count() == 1
    assert broken_rules() == {}
