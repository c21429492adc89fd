"""The wallet's pages at a gateway: topped up once, and what the statement and its file then say."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client

from billing.ledger_audit import broken_rules
from billing.models import AccountKind, Payment, PaymentState
from core import site_settings
from core.ids import uuid7
from orders import holds
from orders.affiliates import commissions
from orders.affiliates.models import Referral, ReferralStatus
from sandbox.client import Sandbox
from servers.models import HoldKind, ServerHold
from tests.billing.sales import balance, wallet_balance
from tests.pages.rows import make_gateway_account
from tests.shop import Clock, Shop, deliver_webhooks, make_customer, make_shop, place_order, run_until_idle


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None) -> Shop:
    return make_shop(stripe_sandbox)


def test_a_customer_adds_money_and_finds_it_in_the_statement(shop: Shop, clock: Clock, client: Client) -> None:
    client.force_login(shop.customer)
    assert client.get("/wallet/statement.csv").status_code == 404  # nothing ever came
    assert client.post("/wallet/top-up/", {"offered": "", "other": "0.50", "form_token": uuid7()}).status_code == 422
    form = {"offered": "1000", "other": "12.34", "form_token": uuid7()}
    answers = [client.post("/wallet/top-up/", form) for _ in range(2)]
    assert answers[0]["Location"] == answers[1]["Location"]
    payment = Payment.objects.get()
    assert "$12.34" in client.get("/wallet/").content.decode()
    assert client.post(f"/wallet/top-ups/{payment.pk}/pay/")["Location"] == answers[0]["Location"]

    shop.sandbox.pay(answers[0]["Location"])
    for _ in range(2):
        deliver_webhooks(shop.sandbox)
        run_until_idle(clock, step=timedelta(minutes=5))  # past the instant at which the pages read the real clock

    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    page = client.get("/wallet/?returned=1").content.decode()
    assert "Top-up, Visa ending 4242" in page
    assert "Not paid yet" not in page
    file = client.get("/wallet/statement.csv").getvalue().decode("utf-8-sig")
    assert file.splitlines()[0] == "at,description,cause,amount,balance,currency,reference,account"
    assert '"Top-up, Visa ending 4242",12.34,12.34,USD,' in file
    assert client.post(f"/wallet/top-ups/{payment.pk}/pay/").status_code == 302  # paid: back to the wallet


def test_of_several_gateways_the_customer_chooses_one(shop: Shop, client: Client) -> None:
    make_gateway_account(0)
    client.force_login(shop.customer)
    answer = client.post("/wallet/top-up/", {"offered": "1000", "form_token": uuid7()})
    page = client.get(answer["Location"])
    assert page.status_code == 200
    assert "Cards 0" in page.content.decode()
    assert client.post(answer["Location"]).status_code == 422
    assert client.post(answer["Location"], {"option": "stripe:"}).status_code == 303


def top_up(shop: Shop, clock: Clock, client: Client, amount: str) -> Payment:
    form = {"offered": "", "other": amount, "form_token": uuid7()}
    shop.sandbox.pay(client.post("/wallet/top-up/", form)["Location"])
    settle(shop, clock)
    return Payment.objects.filter(invoice=None).latest("created_at")


def settle(shop: Shop, clock: Clock) -> None:
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, step=timedelta(minutes=1))


@pytest.mark.parametrize("is_earned", [False, True])
def test_what_disputed_credit_bought_is_suspended_once_the_bank_took_it_and_until_the_debt_is_paid(
    is_earned: bool, shop: Shop, clock: Clock, client: Client
) -> None:
    site_settings.set_value("affiliates.are_enabled", True)
    partner = make_customer("partner@example.test").owned_organizations.get()
    code = commissions.join(organization=partner, actor=partner.owner).code
    client.force_login(shop.customer)
    payment = top_up(shop, clock, client, "10.00")
    order = place_order(shop, uses_credit=True, affiliate_code=code)
    client.post(f"/orders/{order.pk}/pay/", {"shown_credit": "1000"})
    settle(shop, clock)
    commissions.advance(at=clock.now)
    after_hold = clock.now + timedelta(days=31)
    if is_earned:
        commissions.advance(at=after_hold)

    dispute = shop.sandbox.dispute(str(payment.transaction_id))["id"]
    settle(shop, clock)
    assert (wallet_balance(shop.organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 200)
    assert "$2.00 of your wallet balance is set aside" in client.get("/wallet/").content.decode()
    commissions.advance(at=after_hold)
    assert Referral.objects.get().status == (ReferralStatus.EARNED if is_earned else ReferralStatus.PENDING)
    held = ServerHold.objects.filter(kind=HoldKind.BILLING, lifted_at=None)
    assert not held.exists()

    shop.sandbox.close_dispute(dispute, "lost")
    settle(shop, clock)
    assert balance(AccountKind.RECEIVABLE) == -800
    assert held.get().reason == "dispute lost"
    (email,) = [each for each in mail.outbox if "suspended" in each.subject]
    for text in ("lantern-smp", "took a payment of yours back", "/wallet/"):
        assert text in email.body
    assert "You owe us money" in client.get("/wallet/").content.decode()
    commissions.advance(at=after_hold)
    assert Referral.objects.get().status == ReferralStatus.REVERSED
    assert balance(AccountKind.COMMISSION) == 0
    held.update(lifted_at=clock.now)  # by staff: it is placed again while the debt is there
    assert holds.review(at=clock.now) == 1

    top_up(shop, clock, client, "9.00")
    holds.review(at=clock.now)
    assert (wallet_balance(shop.organization), balance(AccountKind.RECEIVABLE)) == (100, 0)
    assert not held.exists()
    assert broken_rules() == {}
