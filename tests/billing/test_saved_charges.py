"""A saved card is charged once for an invoice: whatever is refused, lost, killed, late, or paid meanwhile."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections
from django.test import Client
from django.utils import timezone

from billing import cancellations, checkout, invoice_payment, invoicing, payment_sync, payments, queries, saved_charges
from billing.gateways.base import GatewayPayment
from billing.gateways.saved import GatewayCharge
from billing.gateways.stripe import StripeDriver
from billing.models import (
    CancellationReason,
    GatewayCustomer,
    InvoiceState,
    Payment,
    PaymentMethod,
    PaymentState,
    Subscription,
)
from billing.models.declines import NOT_WANTED
from billing.saved_charges import ChargeDecision
from core import site_settings, tenancy
from core.money import Money
from sandbox.client import Sandbox
from support.models import Delivery
from tests.billing.sales import allocated, run_due, wallet_balance
from tests.billing.saved_methods import Renewal, intents, make_renewal, put_credit, save_card, statuses
from tests.billing.test_top_ups import open_top_up
from tests.builders import PASSWORD, make_organization
from tests.faults import kill_points
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import write
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
CHARGE = "POST /v1/payment_intents"
DAY = timedelta(days=1)


@pytest.fixture
def at(stripe_sandbox: Sandbox) -> datetime:
    """Now, with Stripe's stand-in ready."""
    return timezone.now()


def deliver_and_work(sandbox: Sandbox) -> None:
    """Deliver every event that Stripe has, and run the work that follows."""
    assert set(deliver_webhooks(sandbox)) <= {200}
    while run_due():
        pass


def pay_by_hand(renewal: Renewal, at: datetime) -> None:
    """The customer renews by hand, and has credit."""
    put_credit(renewal, 800, at)
    Subscription.objects.update(is_auto_renewed=False)


def open_by_hand(renewal: Renewal, at: datetime) -> Payment:
    """The customer opens a payment page."""
    return payments.open_payment(invoice=renewal.invoice, gateway="stripe", expires_at=at + DAY, at=at)


def arrive_wrongly(renewal: Renewal, at: datetime) -> Payment:
    """The customer pays by hand, and another amount than asked for arrives. Their credit would pay the invoice."""
    payment = open_by_hand(renewal, at)
    arrived = GatewayPayment(
        transaction_id=f"pi_{payment.pk}",
        amount=Money(700, "USD"),
        is_live=False,
        payment_id=payment.pk,
        organization_id=payment.organization_id,
    )
    put_credit(renewal, 800, at)
    return payments.settle(payment_id=payment.pk, gateway_payment=arrived, at=at)


def is_charged_once(renewal: Renewal, sandbox: Sandbox) -> None:
    """One charge took the money, and it paid the invoice and the second month."""
    assert statuses(sandbox).count("succeeded") == 1
    assert renewal.invoice.reload().state == InvoiceState.PAID
    paid = [row for row in renewal.attempts if row.state == PaymentState.SUCCEEDED]
    assert allocated(renewal.invoice) == [(paid[0], 800)]
    assert wallet_balance(renewal.sale.organization) == 0


# -- charging ----------------------------------------------------------------------------------------------------------


def test_the_default_card_is_charged_once_and_the_next_month_begins(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    second_month = renewal.invoice.items.get()

    assert renewal.request(at) == ChargeDecision.REQUESTED
    assert renewal.request(at) == ChargeDecision.UNDER_WAY
    run_due()

    is_charged_once(renewal, stripe_sandbox)
    assert renewal.sale.subscription.reload().current_period_end == second_month.period_end
    assert renewal.attempts[0].method_label == "Visa ending 4242"
    assert renewal.request(at) == ChargeDecision.NOT_OWED
    deliver_and_work(stripe_sandbox)
    is_charged_once(renewal, stripe_sandbox)


def test_credit_pays_first_and_the_card_the_rest(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    put_credit(renewal, 300, at)

    assert renewal.request(at) == ChargeDecision.REQUESTED
    assert wallet_balance(renewal.sale.organization) == 0  # nothing else can spend it
    run_due()

    assert [intent["amount"] for intent in intents(stripe_sandbox)] == [500]
    assert allocated(renewal.invoice) == [(renewal.attempts[0], 500), (None, 300)]


@pytest.mark.parametrize(
    ("arrange", "decision"),
    [
        (lambda renewal, at: put_credit(renewal, 800, at), ChargeDecision.PAID_BY_CREDIT),
        (lambda renewal, _at: PaymentMethod.objects.all().delete(), ChargeDecision.NO_METHOD),
        (pay_by_hand, ChargeDecision.BY_HAND),
        (lambda renewal, at: open_by_hand(renewal, at), ChargeDecision.BEING_PAID),
        (lambda renewal, at: arrive_wrongly(renewal, at), ChargeDecision.UNDER_WAY),
        (
            lambda renewal, at: payments.mark_processing(payment_id=open_by_hand(renewal, at).pk, at=at),
            ChargeDecision.UNDER_WAY,
        ),
        (
            lambda renewal, at: invoicing.void_invoice(invoice=renewal.invoice, reason="x", actor=None, at=at),
            ChargeDecision.NOT_OWED,
        ),
    ],
    ids=["credit suffices", "no card", "renews by hand", "being paid by hand", "under review", "at a bank", "void"],
)
def test_nothing_is_charged_where_another_way_pays_or_nothing_is_owed(
    at: datetime, stripe_sandbox: Sandbox, arrange: Callable[[Renewal, datetime], object], decision: ChargeDecision
) -> None:
    renewal = make_renewal(at=at)
    arrange(renewal, at)

    assert renewal.request(at) == decision
    run_due()

    assert statuses(stripe_sandbox) == []


# -- lost answers and killed workers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lose_answer", "drop", "status"])
def test_a_charge_whose_answer_was_lost_is_looked_for_before_it_is_repeated(
    at: datetime, stripe_sandbox: Sandbox, kind: str
) -> None:
    renewal = make_renewal(at=at)
    stripe_sandbox.arm("stripe", CHARGE, kind, times=3)  # its library tries again
    renewal.request(at)

    run_due(at)
    assert renewal.invoice.reload().state == InvoiceState.OPEN
    stripe_sandbox.clear_faults()
    for minutes in range(1, 4):
        run_due(at + timedelta(minutes=minutes))

    is_charged_once(renewal, stripe_sandbox)


class Killed(BaseException):
    """The worker died."""


def is_refused_once(renewal: Renewal, sandbox: Sandbox) -> None:
    """The refused attempt is closed here and there, and the next one waits for the schedule."""
    assert statuses(sandbox) == ["canceled"]
    assert [(row.state, row.failure_code) for row in renewal.attempts] == [(PaymentState.FAILED, "insufficient_funds")]
    assert renewal.attempts[0].retry_at is not None


@pytest.mark.parametrize(
    ("card", "has_ended"), [("pm_card_visa", is_charged_once), ("pm_card_declineLater", is_refused_once)]
)
def test_killed_at_any_point_a_charge_ends_as_if_it_had_not_been(
    at: datetime, stripe_sandbox: Sandbox, card: str, has_ended: Callable[[Renewal, Sandbox], None]
) -> None:
    point, is_killed = 0, True
    while is_killed:  # once more for each point, until a run comes to its end
        point += 1
        stripe_sandbox.reset("stripe")
        GatewayCustomer.objects.all().delete()
        renewal, is_killed, left = make_renewal(at=at, card=card), False, point

        def on_point(_name: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        try:
            with kill_points.watch(on_point):
                renewal.request(at)
                run_due(at)
        except Killed:
            is_killed = True
        for minutes in (1, 3):
            renewal.request(at + timedelta(minutes=minutes))
            run_due(at + timedelta(minutes=minutes))
        has_ended(renewal, stripe_sandbox)
    assert point > 5


# -- paid meanwhile ----------------------------------------------------------------------------------------------------


def test_what_credit_paid_before_the_worker_came_is_not_charged(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    renewal.request(at)
    put_credit(renewal, 800, at)
    invoicing.pay_from_wallet(invoice=renewal.invoice, at=at)

    run_due()

    assert statuses(stripe_sandbox) == []
    assert [row.state for row in renewal.attempts] == [PaymentState.FAILED]
    assert not Delivery.objects.filter(event="charge.declined").exists()


def test_what_was_charged_although_the_invoice_was_paid_meanwhile_is_credit(
    at: datetime, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewal, charge = make_renewal(at=at), StripeDriver.charge

    def paid_first(driver: StripeDriver, request: Any) -> GatewayCharge:
        put_credit(renewal, 800, at)
        invoicing.pay_from_wallet(invoice=renewal.invoice, at=at)
        return charge(driver, request)

    monkeypatch.setattr(StripeDriver, "charge", paid_first)
    renewal.request(at)
    run_due()

    assert statuses(stripe_sandbox) == ["succeeded"]
    assert allocated(renewal.invoice) == [(None, 800)]
    assert renewal.attempts[0].state == PaymentState.SUCCEEDED
    assert wallet_balance(renewal.sale.organization) == 800


def test_asked_for_and_paid_by_hand_at_once_an_invoice_has_one_open_payment(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    renewal = make_renewal(at=at)
    turns = iter(range(8))

    def act() -> None:
        if next(turns) % 2:
            renewal.request(at)
        else:
            payments.open_payment(invoice=renewal.invoice, gateway="stripe", expires_at=at + DAY, at=at)

    assert run_at_once(act, times=8) == []
    run_at_once(lambda: run_due(), times=3)

    assert renewal.invoice.payments.count() == 1
    assert len(statuses(stripe_sandbox)) == len(renewal.attempts)


def test_a_page_that_is_asked_for_too_late_ends_no_charge_that_is_asked_for_meanwhile(
    at: datetime, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tabs: else the card is charged for a payment that failed, and its customer pays another one."""
    organization = make_organization()
    method, payment = save_card(organization, "pm_card_visa"), open_top_up(organization)
    assert payment.expires_at is not None
    late, fail = payment.expires_at - timedelta(minutes=5), payments.fail
    decisions = list[ChargeDecision]()

    def choose_card() -> None:
        decisions.append(saved_charges.charge_payment(payment=payment, method=method, at=late))
        connections.close_all()

    other_tab = Thread(target=choose_card)

    def fail_meanwhile(**arguments: Any) -> bool:
        other_tab.start()
        other_tab.join(timeout=1)
        return fail(**arguments)

    monkeypatch.setattr(payments, "fail", fail_meanwhile)
    with pytest.raises(checkout.CheckoutClosed):
        checkout.create_session(payment=payment, success_url="https://a.test", cancel_url="https://a.test", at=late)
    other_tab.join()

    assert (payment.reload().state, payment.reload().payment_method) == (PaymentState.FAILED, None)
    assert decisions == [ChargeDecision.NOT_OWED]


def test_while_money_for_the_invoice_is_under_review_nothing_else_pays_it(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    renewal = make_renewal(at=at)
    reviewed = arrive_wrongly(renewal, at)

    assert invoice_payment.pay_with_credit(invoice=renewal.invoice, at=at)
    with pytest.raises(invoicing.MoneyUnderWay):
        open_by_hand(renewal, at)
    client = Client()
    client.login(email=renewal.sale.organization.owner.email, password=PASSWORD)
    page = client.get(f"/invoices/{renewal.invoice.pk}/pay/", follow=True)
    assert "A payment for this invoice has arrived, and we are checking it." in page.content.decode()

    assert (renewal.invoice.reload().state, reviewed.reload().state) == (InvoiceState.OPEN, PaymentState.UNDER_REVIEW)
    assert wallet_balance(renewal.sale.organization) == 800


def test_money_that_goes_under_review_stops_a_charge_that_was_asked_for_and_closes_other_pages(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    renewal = make_renewal(at=at)
    failed = open_by_hand(renewal, at)
    payments.fail(payment_id=failed.pk, reason="the debit was refused", at=at)
    assert renewal.request(at) == ChargeDecision.REQUESTED

    late = GatewayPayment(
        transaction_id="pi_late",
        amount=Money(700, "USD"),
        is_live=False,
        payment_id=failed.pk,
        organization_id=failed.organization_id,
    )
    assert payments.settle(payment_id=failed.pk, gateway_payment=late, at=at).state == PaymentState.UNDER_REVIEW
    run_due()

    assert statuses(stripe_sandbox) == []
    assert [row.state for row in renewal.attempts] == [PaymentState.FAILED]


def switch_off(renewal: Renewal, at: datetime) -> None:
    """The customer wants to renew by hand from now on."""
    subscription = renewal.sale.subscription
    cancellations.set_auto_renewal(subscription=subscription.reload(), is_auto_renewed=False, actor=None, at=at)


def cancel_it(renewal: Renewal, at: datetime) -> None:
    """The customer cancels."""
    subscription, reason = renewal.sale.subscription.reload(), CancellationReason.UNUSED
    cancellations.cancel(subscription=subscription, reason=reason, actor=None, at=at)


@pytest.mark.parametrize("act", [switch_off, cancel_it])
def test_what_the_customer_no_longer_wants_to_be_charged_is_not_charged(
    at: datetime, stripe_sandbox: Sandbox, act: Callable[[Renewal, datetime], None]
) -> None:
    asked, waits = make_renewal(at=at), make_renewal(at=at, card="pm_card_authenticationRequired")
    waits.request(at)
    run_due()
    asked.request(at)
    turns = iter([lambda: act(asked, at), lambda: act(waits, at), lambda: asked.request(at), lambda: waits.request(at)])

    assert run_at_once(lambda: next(turns)(), times=4) == []
    while run_due():
        pass
    payment_sync.poll_open_payments(at=timezone.now())

    assert set(statuses(stripe_sandbox)) == {"canceled"}
    for renewal in (asked, waits):
        assert {row.state for row in renewal.attempts} == {PaymentState.FAILED}
        assert queries.last_decline_of(renewal.invoice) is None
    assert not Delivery.objects.filter(event="charge.declined").exists()


def test_who_renews_by_hand_is_charged_to_the_card_that_they_choose(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    switch_off(renewal, at)

    decision = invoice_payment.charge_method(invoice=renewal.invoice, method=renewal.method, at=at)
    run_due()

    assert decision == ChargeDecision.REQUESTED
    is_charged_once(renewal, stripe_sandbox)


# -- refused -----------------------------------------------------------------------------------------------------------


def test_a_refused_card_is_charged_again_by_the_schedule_and_then_no_more(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    site_settings.set_value("billing.charge_retry_days", "2, 5")
    renewal = make_renewal(at=at, card="pm_card_declineLater")
    renewal.request(at)
    run_due()

    (first,) = renewal.attempts
    assert (first.state, first.failure_code, first.retry_at) == (
        PaymentState.FAILED,
        "insufficient_funds",
        at + 2 * DAY,
    )
    assert statuses(stripe_sandbox) == ["canceled"]  # it cannot succeed beside the next one
    mail = Delivery.objects.get(event="charge.declined")
    assert "There was not enough money on the card." in str(mail.body)
    assert "We try again on" in str(mail.body)

    assert renewal.request(at + DAY) == ChargeDecision.LATER
    for days in (2, 5):
        assert renewal.request(at + days * DAY) == ChargeDecision.REQUESTED
        run_due(at + days * DAY)
    assert renewal.request(at + 30 * DAY) == ChargeDecision.REFUSED
    assert "We do not try this card again" in str(Delivery.objects.filter(event="charge.declined").latest("pk").body)

    PaymentMethod.objects.update(is_default=False)
    save_card(renewal.sale.organization, "pm_card_visa")
    assert renewal.request(at + 30 * DAY) == ChargeDecision.REQUESTED
    run_due(at + 30 * DAY)
    is_charged_once(renewal, stripe_sandbox)


def test_an_attempt_that_we_stopped_is_no_refusal_of_the_schedule(at: datetime, stripe_sandbox: Sandbox) -> None:
    site_settings.set_value("billing.charge_retry_days", "2, 5")
    renewal = make_renewal(at=at, card="pm_card_declineLater")
    renewal.request(at)
    run_due()
    Payment.objects.filter(pk=renewal.attempts[0].pk).update(failure_code=NOT_WANTED, retry_at=at)

    assert renewal.request(at + DAY) == ChargeDecision.REQUESTED
    run_due(at + DAY)

    assert max(row.retry_at for row in renewal.attempts if row.retry_at) == at + 2 * DAY  # the first refusal


@pytest.mark.parametrize("card", ["pm_card_chargeDeclinedExpiredCard", "pm_card_chargeDeclinedLostCard"])
def test_a_card_that_is_refused_for_good_is_not_charged_again(at: datetime, stripe_sandbox: Sandbox, card: str) -> None:
    renewal = make_renewal(at=at, card=card)
    renewal.request(at)
    run_due()

    assert renewal.attempts[0].retry_at is None
    assert renewal.request(at + 30 * DAY) == ChargeDecision.REFUSED


def test_a_card_that_stripe_no_longer_charges_ends_the_attempt(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    PaymentMethod.objects.update(reference="pm_gone")
    renewal.request(at)
    run_due()

    assert (renewal.attempts[0].state, renewal.attempts[0].retry_at) == (PaymentState.FAILED, None)
    assert renewal.request(at + DAY) == ChargeDecision.REFUSED


# -- the owner must confirm --------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(at: datetime) -> Renewal:
    """A charge for which the bank wants the card's owner."""
    renewal = make_renewal(at=at, card="pm_card_authenticationRequired")
    renewal.request(at)
    run_due()
    assert renewal.attempts[0].waits_for_owner
    return renewal


def confirm(renewal: Renewal) -> Any:
    """Press the button on the page to which the e-mail leads."""
    client = Client()
    client.login(email=renewal.sale.organization.owner.email, password=PASSWORD)
    return client.post(f"/invoices/{renewal.invoice.pk}/confirm/")


def test_days_later_the_owner_confirms_at_their_bank_and_the_invoice_is_paid(
    waiting: Renewal, at: datetime, stripe_sandbox: Sandbox
) -> None:
    assert f"/invoices/{waiting.invoice.pk}/confirm/" in str(Delivery.objects.get(event="charge.needs_owner").body)
    assert waiting.request(at + DAY) == ChargeDecision.UNDER_WAY
    stripe_sandbox.advance(5 * 86400)

    bank = confirm(waiting)
    assert bank.status_code == 303
    assert "/c/authenticate/" in bank["Location"]
    assert confirm(waiting).status_code == 303  # twice is harmless
    stripe_sandbox.authenticate(intents(stripe_sandbox)[0]["id"])
    deliver_and_work(stripe_sandbox)

    is_charged_once(waiting, stripe_sandbox)
    assert Delivery.objects.filter(event="charge.needs_owner").count() == 1


def test_who_fails_at_their_bank_can_confirm_again(waiting: Renewal, stripe_sandbox: Sandbox) -> None:
    confirm(waiting)
    stripe_sandbox.authenticate(intents(stripe_sandbox)[0]["id"], outcome="fail")
    deliver_and_work(stripe_sandbox)
    assert waiting.attempts[0].waits_for_owner

    confirm(waiting)
    stripe_sandbox.authenticate(intents(stripe_sandbox)[0]["id"])
    deliver_and_work(stripe_sandbox)

    is_charged_once(waiting, stripe_sandbox)


def test_a_charge_that_is_not_confirmed_in_time_takes_no_money_any_more(
    waiting: Renewal, at: datetime, stripe_sandbox: Sandbox
) -> None:
    late = at + timedelta(days=7, minutes=1)
    payment_sync.poll_open_payments(at=late)

    (attempt,) = waiting.attempts
    assert (attempt.state, attempt.failure_code) == (PaymentState.FAILED, "not_confirmed")
    assert statuses(stripe_sandbox) == ["canceled"]
    assert Delivery.objects.filter(event="charge.declined").count() == 1
    assert confirm(waiting).status_code == 302
    assert attempt.retry_at is not None
    assert waiting.request(attempt.retry_at) == ChargeDecision.REQUESTED


def test_a_charge_that_waits_is_canceled_when_the_invoice_is_paid_otherwise(
    waiting: Renewal, at: datetime, stripe_sandbox: Sandbox
) -> None:
    put_credit(waiting, 800, at)
    invoicing.pay_from_wallet(invoice=waiting.invoice, at=at)
    payment_sync.sync_payment(payment_id=waiting.attempts[0].pk, at=at)

    assert statuses(stripe_sandbox) == ["canceled"]
    assert allocated(waiting.invoice) == [(None, 800)]


# -- without events ----------------------------------------------------------------------------------------------------


def test_a_bank_debit_is_followed_until_it_clears_without_any_event(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    token = "pm_usBankAccount_success"
    PaymentMethod.objects.update(reference=attach(renewal, token))
    renewal.request(at)
    run_due()
    assert renewal.attempts[0].state == PaymentState.PROCESSING

    stripe_sandbox.clear_debit(intents(stripe_sandbox)[0]["id"])
    payment_sync.poll_open_payments(at=at + timedelta(hours=2))

    is_charged_once(renewal, stripe_sandbox)


def attach(renewal: Renewal, token: str) -> str:
    """A method of another kind at the organization's customer."""
    params: Any = {"customer": GatewayCustomer.objects.get().reference}
    return str(write("attach", lambda stripe: stripe.v1.payment_methods.attach(token, params)).id)


# -- what the database refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE billing_payment SET payment_method_id = %(others)s WHERE id = %(attempt)s", "same_owner"),
        ("UPDATE billing_paymentmethod SET is_default = true WHERE id = %(second)s", "billing_method_one_default"),
        ("UPDATE billing_paymentmethod SET detached_at = now() WHERE is_default", "billing_method_default_is_attached"),
        (
            "UPDATE billing_payment SET payment_method_id = NULL, is_automatic = false, charge_id = 'pi'"
            " WHERE id = %(attempt)s",
            "billing_payment_charge_is_of_a_method",
        ),
        (
            "UPDATE billing_payment SET payment_method_id = NULL WHERE id = %(attempt)s",
            "billing_payment_automatic_has_method",
        ),
    ],
)
def test_no_statement_charges_a_card_of_others_or_makes_two_defaults(
    at: datetime, statement: str, constraint: str
) -> None:
    renewal, others = make_renewal(at=at), make_renewal(at=at)
    second = save_card(renewal.sale.organization, "pm_card_mastercard")
    renewal.request(at)
    named = {"attempt": renewal.attempts[0].pk, "others": others.method.pk, "second": second.pk}

    with (
        pytest.raises(IntegrityError, match=constraint),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, named)
