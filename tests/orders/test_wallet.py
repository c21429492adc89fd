"""The wallet's pages at a gateway: topped up once, and what the statement and its file then say."""

from datetime import timedelta

import pytest
from django.test import Client

from billing.models import Payment, PaymentState
from core.ids import uuid7
from sandbox.client import Sandbox
from tests.pages.rows import make_gateway_account
from tests.shop import Clock, Shop, deliver_webhooks, make_shop, run_until_idle


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
