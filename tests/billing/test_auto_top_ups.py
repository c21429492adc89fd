"""Automatic top-ups: credit that falls below a limit has the saved card charged, once, until it is refused for good."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization
from billing import auto_top_ups, charge_sync, credit, payment_methods, payment_sync, statement
from billing.gateways.base import DisputeStatus
from billing.gateways.saved import ChargeStatus, GatewayCharge
from billing.ledger_audit import broken_rules
from billing.models import AutoTopUp, Payment, PaymentState
from billing.models.declines import NOT_WANTED
from core import site_settings
from core.models import AuditEntry
from sandbox.client import Sandbox
from support.models import Delivery
from tests.billing.sales import run_due, usd, wallet_balance
from tests.billing.saved_methods import save_card, statuses
from tests.billing.test_top_ups import dispute
from tests.builders import PASSWORD, make_organization
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
CHARGE = "POST /v1/payment_intents"
DAY = timedelta(days=1)


@pytest.fixture
def at(stripe_sandbox: Sandbox) -> datetime:
    """Now, with Stripe's stand-in ready."""
    return timezone.now()


def switch(organization: Organization, at: datetime, *, is_active: bool = True) -> AutoTopUp:
    return auto_top_ups.save(
        organization=organization, below=usd(500), amount=usd(1000), is_active=is_active, actor="test", at=at
    )


def make_owner(at: datetime, card: str = "pm_card_visa") -> Organization:
    """An organization with a saved card, empty credit, and automatic top-up."""
    organization = make_organization()
    save_card(organization, card)
    switch(organization, at)
    return organization


def attempts(organization: Organization) -> list[Payment]:
    return list(auto_top_ups.attempts_of(organization, "USD"))


def told(event: str) -> list[Delivery]:
    return list(Delivery.objects.filter(event=event))


def test_credit_below_the_limit_is_topped_up_once_and_again_when_it_falls_again(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    organization = make_owner(at)

    assert run_at_once(lambda: auto_top_ups.request_due(at=at), times=3) == []
    run_due()

    assert wallet_balance(organization) == 1000
    assert len(told("wallet.topped_up")) == 1
    assert auto_top_ups.request_due(at=at) == 0
    assert statuses(stripe_sandbox) == ["succeeded"]
    wallet = statement.accounts_of(organization)[0]
    assert [statement.cause_of(row.entry) for row in statement.statement_of(wallet)] == [
        "Automatic top-up, Visa ending 4242"
    ]
    AutoTopUp.objects.update(below_minor=1001, amount_minor=1001)
    assert auto_top_ups.request_due(at=at) == 1
    assert broken_rules() == {}


def test_nobody_is_charged_because_credit_is_set_aside_for_a_dispute(at: datetime, stripe_sandbox: Sandbox) -> None:
    organization = make_owner(at)
    auto_top_ups.request_due(at=at)
    run_due()
    dispute(attempts(organization)[0], DisputeStatus.OPEN)
    assert wallet_balance(organization) == 0

    assert auto_top_ups.request_due(at=at) == 0
    assert auto_top_ups.request(AutoTopUp.objects.get(), at=at) is None  # found to be due just before


def test_a_lost_answer_is_looked_for_before_it_is_asked_again(at: datetime, stripe_sandbox: Sandbox) -> None:
    organization = make_owner(at)
    stripe_sandbox.arm("stripe", CHARGE, "lose_answer", times=3)  # its library tries again
    auto_top_ups.request_due(at=at)

    run_due(at)
    assert auto_top_ups.request_due(at=at) == 0  # one is open
    stripe_sandbox.clear_faults()
    for minutes in range(1, 4):
        run_due(at + timedelta(minutes=minutes))

    assert statuses(stripe_sandbox) == ["succeeded"]
    assert wallet_balance(organization) == 1000


def test_a_refused_card_is_charged_again_by_the_schedule_and_then_it_stops_with_an_email(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    organization = make_owner(at, "pm_card_declineLater")
    site_settings.set_value("billing.charge_retry_days", "1, 3")
    for days in (0, 1, 3):
        assert auto_top_ups.request_due(at=at + days * DAY) == 1, days
        run_due(at + days * DAY)
        assert auto_top_ups.request_due(at=at + days * DAY) == 0, days

    row = AutoTopUp.objects.get()
    assert (row.is_active, row.stopped_at) == (False, at + 3 * DAY)
    assert [payment.state for payment in attempts(organization)] == [PaymentState.FAILED] * 3
    assert auto_top_ups.request_due(at=at + 30 * DAY) == 0
    emails = told("charge.declined")
    assert len(emails) == 3

    switch(organization, at + 4 * DAY)  # refusals before do not count
    assert auto_top_ups.request_due(at=at + 4 * DAY) == 1
    run_due(at + 4 * DAY)
    assert AutoTopUp.objects.get().is_active


def test_a_card_refused_after_the_settings_were_saved_anew_is_charged_again_by_the_schedule(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    organization, refused_at = make_owner(at, "pm_card_declineLater"), at + timedelta(seconds=30)
    auto_top_ups.request_due(at=at)
    switch(organization, at + timedelta(seconds=5))  # the attempt is open

    run_due(refused_at)

    (payment,) = attempts(organization)
    assert (payment.state, payment.retry_at) == (PaymentState.FAILED, refused_at + DAY)
    assert auto_top_ups.request_due(at=refused_at + timedelta(minutes=1)) == 0
    assert auto_top_ups.request_due(at=refused_at + DAY) == 1


def test_a_charge_that_was_canceled_is_no_refusal_of_the_card(at: datetime, stripe_sandbox: Sandbox) -> None:
    site_settings.set_value("billing.charge_retry_days", "5")
    organization = make_owner(at, "pm_card_authenticationRequired")
    auto_top_ups.request_due(at=at)
    run_due()
    (payment,) = attempts(organization)
    canceled = GatewayCharge(str(payment.charge_id), ChargeStatus.CANCELED, failure_code=NOT_WANTED)

    charge_sync.apply_charge(payment_id=payment.pk, charge=canceled, at=at)

    payment = payment.reload()
    assert (payment.state, payment.retry_at) == (PaymentState.FAILED, at + DAY)


def test_a_bank_that_wants_its_owner_sends_the_way_there_and_switching_off_cancels_it(
    at: datetime, stripe_sandbox: Sandbox, client: Client
) -> None:
    organization = make_owner(at, "pm_card_authenticationRequired")
    auto_top_ups.request_due(at=at)
    run_due()
    payment = attempts(organization)[0]
    assert payment.waits_for_owner
    assert len(told("charge.needs_owner")) == 1

    client.login(username=organization.owner.email, password=PASSWORD)
    page = client.get(reverse("wallet:confirm_top_up", kwargs={"pk": payment.pk})).content.decode()
    assert "$10.00" in page
    answer = client.post(reverse("wallet:confirm_top_up", kwargs={"pk": payment.pk}))
    assert answer.status_code == 303
    assert "stripe" in answer["Location"] or "://" in answer["Location"]
    assert reverse("wallet:confirm_top_up", kwargs={"pk": payment.pk}) in client.get("/wallet/").content.decode()
    assert client.post(reverse("wallet:pay_top_up", kwargs={"pk": payment.pk}))["Location"] == "/wallet/"

    switch(organization, at, is_active=False)
    payment_sync.sync_payment(payment_id=payment.pk, at=at + timedelta(minutes=5))
    assert payment.reload().state == PaymentState.FAILED
    assert statuses(stripe_sandbox) == ["canceled"]
    assert wallet_balance(organization) == 0


@pytest.mark.parametrize("change", ["switched off", "card removed"])
def test_nothing_is_charged_that_is_not_wanted_any_more(change: str, at: datetime, stripe_sandbox: Sandbox) -> None:
    organization = make_owner(at)
    auto_top_ups.request_due(at=at)
    if change == "switched off":
        switch(organization, at, is_active=False)
    else:
        method = payment_methods.default_method(organization)
        assert method is not None
        payment_methods.remove_anyway(method=method, actor="test", at=at)

    run_due()

    assert statuses(stripe_sandbox) == []
    assert [payment.state for payment in attempts(organization)] == [PaymentState.FAILED]
    assert auto_top_ups.request_due(at=at + DAY) == 0


def test_a_customer_sets_it_on_the_wallets_page_and_reads_beside_a_field_what_is_wrong(
    at: datetime, client: Client
) -> None:
    organization = make_organization()
    Organization.objects.filter(pk=organization.pk).update(currency="USD")
    client.login(username=organization.owner.email, password=PASSWORD)
    address, wanted = reverse("wallet:auto_top_up"), {"is_active": "on", "below": "5.00", "amount": "10.00"}
    answer = client.post(address, wanted)
    assert (answer.status_code, list(answer.context["auto_form"].errors)) == (422, ["is_active"])
    save_card(organization, "pm_card_visa")
    for wrong, field in (
        ({"below": "0"}, "below"),
        ({"below": "x"}, "below"),
        ({"amount": "1.00"}, "amount"),
        ({"below": "20.00"}, "amount"),
        ({"amount": "999999999"}, "amount"),
        ({"amount": "10.001"}, "amount"),
    ):
        answer = client.post(address, wanted | wrong)
        assert (answer.status_code, list(answer.context["auto_form"].errors)) == (422, [field]), wrong
    assert not AutoTopUp.objects.exists()

    assert client.post(address, wanted).status_code == 302
    row = AutoTopUp.objects.get()
    assert (row.below, row.amount, row.is_active) == (usd(500), usd(1000), True)
    assert AuditEntry.objects.filter(action="autotopup.save").count() == 1
    auto_top_ups.request_due(at=timezone.now())
    run_due()
    assert credit.balance_of(organization.pk, "USD") == usd(1000)
    assert "Last: $10.00" in client.get(reverse("wallet:wallet")).content.decode()


def test_saving_is_refused_after_many_times_because_each_may_charge_the_card(client: Client, at: datetime) -> None:
    organization = make_owner(at)
    client.force_login(organization.owner)
    address = reverse("wallet:auto_top_up")
    entered = {"is_active": "on", "below": "5", "amount": "10"}

    answers = [client.post(address, entered) for _time in range(11)]

    assert [answer.status_code for answer in answers] == [302] * 10 + [422]
    assert "too often" in answers[-1].content.decode()
    assert client.post(address, {**entered, "is_active": ""}).status_code == 302
