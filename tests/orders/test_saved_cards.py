"""Orders, top-ups and plan changes are paid by a saved card: once, whatever is refused, lost, or wants its owner."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.ledger_audit import broken_rules
from billing.models import ChargeTask, Payment, PaymentMethod, PaymentState
from core.ids import uuid7
from orders.changes.models import PlanChange, PlanChangeStatus
from orders.models import Order, OrderStatus
from tests.billing.sales import wallet_balance
from tests.billing.saved_methods import intents, save_card, statuses
from tests.orders.sold import make_sold
from tests.shop import Clock, Shop, deliver_webhooks, panel_servers, place_order, run_until_idle

CHARGE = "POST /v1/payment_intents"
DECLINED = "There was not enough money on the card."


@dataclass(frozen=True)
class Purchase:
    """Something to pay: where its customer chooses how, its own page, and whether it is paid."""

    client: Client
    method: PaymentMethod
    choose_url: str
    page_url: str
    is_paid: Callable[[], bool]

    def charge(self) -> Any:
        """Choose the saved card."""
        return self.client.post(self.choose_url, {"option": f"method:{self.method.pk}"})

    def page(self) -> str:
        """Its own page."""
        return self.client.get(self.page_url).content.decode()


def order_to_pay(shop: Shop, client: Client, card: str) -> Purchase:
    method = save_card(shop.organization, card)
    order = place_order(shop)
    page = reverse("orders:progress", kwargs={"pk": order.pk})
    answer = client.post(reverse("orders:pay", kwargs={"pk": order.pk}))  # a choice, though there is one gateway
    return Purchase(client, method, answer["Location"], page, lambda: order.reload().paid_at is not None)


def top_up_to_pay(shop: Shop, client: Client, card: str) -> Purchase:
    method = save_card(shop.organization, card)
    answer = client.post("/wallet/top-up/", {"offered": "1000", "form_token": uuid7()})
    return Purchase(client, method, answer["Location"], "/wallet/", lambda: wallet_balance(shop.organization) == 1000)


def change_to_pay(shop: Shop, client: Client, card: str) -> Purchase:
    sold = make_sold(at=timezone.now().replace(microsecond=0) - timedelta(days=1))
    method = save_card(sold.organization, card)
    client.force_login(sold.user)
    change = sold.confirm(sold.request(sold.offer.large, at=timezone.now()), at=timezone.now())
    at_change = {"pk": change.pk}
    begun = {PlanChangeStatus.APPLYING, PlanChangeStatus.DONE}
    return Purchase(
        client,
        method,
        reverse("orders:pay_plan_change", kwargs=at_change),
        reverse("orders:plan_change", kwargs=at_change),
        lambda: PlanChange.objects.get(pk=change.pk).status in begun,
    )


KINDS: dict[str, Callable[[Shop, Client, str], Purchase]] = {
    "order": order_to_pay,
    "top-up": top_up_to_pay,
    "plan change": change_to_pay,
}


def email_about(subject: str) -> str:
    """The one e-mail whose subject begins so."""
    (found,) = [str(each.body) for each in mail.outbox if each.subject.startswith(subject)]
    return found


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    client.force_login(shop.customer)
    return client


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_charged_once_to_the_card_that_was_chosen_also_where_the_answer_was_lost(
    kind: str, shop: Shop, clock: Clock, browser: Client
) -> None:
    purchase = KINDS[kind](shop, browser, "pm_card_visa")
    assert f"method:{purchase.method.pk}" in browser.post(purchase.choose_url, {}).content.decode()
    shop.sandbox.arm("stripe", CHARGE, "lose_answer", times=3)  # its library tries again

    answers = [purchase.charge() for _ in range(2)]

    assert [answer["Location"].split("?")[0] for answer in answers] == [purchase.page_url] * 2
    assert "is being charged" in purchase.page()
    assert ChargeTask.objects.count() == 1
    run_until_idle(clock, step=timedelta(minutes=1), steps=20 if kind == "order" else 4)
    assert purchase.is_paid()
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=3)
    assert statuses(shop.sandbox) == ["succeeded"]
    assert "is being charged" not in purchase.page()
    assert purchase.charge().status_code == 302
    assert ChargeTask.objects.count() == 1
    assert kind != "order" or len(panel_servers(shop.sandbox)) == 1
    assert broken_rules() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_card_is_told_with_its_reason_and_another_way_pays(
    kind: str, shop: Shop, clock: Clock, browser: Client
) -> None:
    purchase = KINDS[kind](shop, browser, "pm_card_declineLater")
    purchase.charge()

    run_until_idle(clock, steps=3)

    assert not purchase.is_paid()
    assert statuses(shop.sandbox) == ["canceled"]
    page = purchase.page()
    assert DECLINED in page
    assert "We try again" not in page
    email = email_about("We could not charge")
    assert purchase.page_url in email
    assert DECLINED in email
    assert "another way" in email
    refused = Payment.objects.get(payment_method=purchase.method)
    assert (refused.state, refused.retry_at) == (PaymentState.FAILED, None)

    another = KINDS[kind](shop, browser, "pm_card_visa") if kind == "top-up" else purchase
    if kind == "order":
        assert browser.post(f"{purchase.page_url}pay/")["Location"] == purchase.choose_url
    answer = browser.post(another.choose_url, {"option": "stripe:"})
    assert "/c/pay/" in answer["Location"]
    assert DECLINED not in another.page()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bank_that_wants_the_cards_owner_is_one_click_away(
    kind: str, shop: Shop, clock: Clock, browser: Client
) -> None:
    purchase = KINDS[kind](shop, browser, "pm_card_authenticationRequired")
    purchase.charge()
    run_until_idle(clock, steps=3)

    payment = Payment.objects.get(payment_method=purchase.method)
    assert payment.waits_for_owner
    names = {"order": "orders:confirm_charge", "plan change": "orders:confirm_plan_change_charge"}
    pk = payment.pk
    if payment.invoice is not None:
        pk = payment.invoice.order.pk if kind == "order" else payment.invoice.plan_change.pk
    url = reverse(names.get(kind, "wallet:confirm_top_up"), kwargs={"pk": pk})
    assert url in purchase.page()
    assert url in email_about("Please confirm")
    assert purchase.page_url in browser.get(url).content.decode()
    bank = browser.post(url)
    assert "/c/authenticate/" in bank["Location"]
    shop.sandbox.authenticate(intents(shop.sandbox)[0]["id"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=3)

    assert purchase.is_paid()
    assert browser.get(url)["Location"] == purchase.page_url
    assert statuses(shop.sandbox) == ["succeeded"]


@pytest.mark.parametrize("kind", ["order", "plan change"])
def test_who_cannot_confirm_pays_otherwise_and_the_charge_takes_nothing(
    kind: str, shop: Shop, clock: Clock, browser: Client
) -> None:
    purchase = KINDS[kind](shop, browser, "pm_card_authenticationRequired")
    purchase.charge()
    run_until_idle(clock, steps=3)

    browser.post(f"{purchase.page_url}pay/")
    answer = browser.post(purchase.choose_url, {"option": "stripe:"})

    assert "/c/pay/" in answer["Location"]
    assert statuses(shop.sandbox) == ["canceled"]
    shop.sandbox.pay(answer["Location"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=3)
    assert purchase.is_paid()
    assert statuses(shop.sandbox) == ["canceled", "succeeded"]


def test_an_order_that_is_not_confirmed_in_time_is_canceled_and_its_charge_too(
    shop: Shop, clock: Clock, browser: Client
) -> None:
    purchase = order_to_pay(shop, browser, "pm_card_authenticationRequired")
    purchase.charge()

    run_until_idle(clock, step=timedelta(minutes=20), steps=5)

    assert Order.objects.get().status == OrderStatus.CANCELED
    assert statuses(shop.sandbox) == ["canceled"]


def test_a_card_is_offered_where_its_gateway_can_charge_it_now(shop: Shop, browser: Client) -> None:
    purchase = order_to_pay(shop, browser, "pm_card_visa")
    PaymentMethod.objects.update(detached_at=timezone.now(), is_default=False)

    answer = purchase.charge()

    assert ChargeTask.objects.count() == 0
    assert answer["Location"] == purchase.page_url
