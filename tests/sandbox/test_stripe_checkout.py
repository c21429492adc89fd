"""The life of a Checkout Session, from creation over the hosted page to its end."""

import pytest
import requests
import stripe

from tests.sandbox.stripe_shop import StripeShop, session_params, subscription_params

MINUTE, HOUR, DAY = 60, 3600, 86400


def test_an_open_session_has_a_page_and_no_payment_intent(shop: StripeShop) -> None:
    session = shop.make_session()

    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.livemode) == (1250, "usd", False)
    assert session.id.startswith("cs_test_")
    assert session.expires_at - session.created == DAY
    page = requests.get(session.url, timeout=5)
    assert page.status_code == 200
    assert "12.50 USD" in page.text
    assert "Game server 4 GB" in page.text
    assert 'href="https://shop.example/cart"' in page.text
    assert "<script" not in page.text


def test_paying_completes_the_session_and_sends_the_buyer_back(shop: StripeShop) -> None:
    session = shop.make_session()

    paid = shop.sandbox.pay(session.url)

    assert paid.url == f"https://shop.example/done?session={session.id}"
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge", "line_items"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.client_reference_id == "ord_7f3"
    assert done.payment_intent.metadata["invoice"] == "inv_901"
    assert done.payment_intent.amount_received == 1250
    assert done.payment_intent.latest_charge.paid
    assert done.line_items.data[0].quantity == 1
    for kind in (
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ):
        assert shop.kinds().count(kind) == 1


def test_a_charge_carries_its_fee(shop: StripeShop) -> None:
    charge = shop.charge(amount=10_000)
    full = shop.v1.charges.retrieve(charge.latest_charge, {"expand": ["balance_transaction"]})

    assert full.balance_transaction.fee == 320
    assert full.balance_transaction.net == 9_680


def test_a_refused_card_leaves_the_session_open_for_another(shop: StripeShop) -> None:
    session = shop.make_session()

    refused = shop.sandbox.pay(session.url, "pm_card_chargeDeclinedInsufficientFunds")

    assert (refused.status, refused.url) == (402, "")
    assert "insufficient funds" in refused.page
    assert shop.v1.checkout.sessions.retrieve(session.id).payment_intent is None
    assert shop.sandbox.pay(session.url).is_accepted
    assert len(shop.sandbox.stripe_state()["payment_intent"]) == 1
    assert shop.kinds().count("payment_intent.payment_failed") == 1


def test_a_session_is_paid_once(shop: StripeShop) -> None:
    session = shop.make_session()
    shop.sandbox.pay(session.url)

    again = shop.sandbox.pay(session.url)

    assert not again.is_accepted
    assert "complete" in again.page
    assert len(shop.sandbox.stripe_state()["charge"]) == 1


def test_an_expired_session_cannot_be_paid(shop: StripeShop) -> None:
    session = shop.make_session(expires_at=int(shop.sandbox.now()) + 31 * MINUTE)
    shop.sandbox.advance(32 * MINUTE)

    page = shop.sandbox.pay(session.url)

    assert page.status == 410
    assert "expired" in page.page
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert shop.kinds().count("checkout.session.expired") == 1


def test_expiring_works_while_open_only(shop: StripeShop) -> None:
    session = shop.make_session()
    gone = shop.v1.checkout.sessions.expire(session.id)
    assert (gone.status, gone.url) == ("expired", None)

    paid = shop.make_session()
    shop.sandbox.pay(paid.url)
    for late in (session.id, paid.id):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            shop.v1.checkout.sessions.expire(late)
        assert refused.value.http_status == 400


def test_expiring_cancels_what_a_refused_card_left_behind(shop: StripeShop) -> None:
    session = shop.make_session()
    shop.sandbox.pay(session.url, "pm_card_chargeDeclined")

    shop.v1.checkout.sessions.expire(session.id)

    assert [intent["status"] for intent in shop.sandbox.stripe_state()["payment_intent"]] == ["canceled"]


@pytest.mark.parametrize(
    ("outcome", "event", "payment_status"),
    [
        ("succeed", "checkout.session.async_payment_succeeded", "paid"),
        ("fail", "checkout.session.async_payment_failed", "unpaid"),
    ],
)
def test_a_bank_debit_is_complete_but_unpaid_until_it_ends(
    shop: StripeShop, outcome: str, event: str, payment_status: str
) -> None:
    session = shop.make_session()
    assert shop.sandbox.pay(session.url, "pm_usBankAccount_success").is_accepted
    started = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (started.status, started.payment_status) == ("complete", "unpaid")
    assert started.payment_intent.status == "processing"

    shop.sandbox.clear_debit(started.payment_intent.id, outcome)

    assert shop.v1.checkout.sessions.retrieve(session.id).payment_status == payment_status
    assert shop.kinds().count(event) == 1


@pytest.mark.parametrize(
    ("card", "event"),
    [
        ("pm_usBankAccount_success", "checkout.session.async_payment_succeeded"),
        ("pm_usBankAccount_insufficientFunds", "checkout.session.async_payment_failed"),
    ],
)
def test_a_bank_debit_ends_by_itself_in_time(shop: StripeShop, card: str, event: str) -> None:
    shop.sandbox.pay(shop.make_session().url, card)

    shop.sandbox.advance(30)

    assert event in shop.kinds()


def test_customer_creation_is_if_required_by_default(shop: StripeShop) -> None:
    guest, saved, always = (
        shop.make_session(),
        shop.make_session(payment_intent_data={"setup_future_usage": "off_session"}),
        shop.make_session(customer_creation="always"),
    )
    for session in (guest, saved, always):
        shop.sandbox.pay(session.url, email="ada@example.com")

    found = [shop.v1.checkout.sessions.retrieve(each.id) for each in (guest, saved, always)]

    assert [each.customer is not None for each in found] == [False, True, True]
    assert {each.customer_details.email for each in found} == {"ada@example.com"}


def test_future_usage_saves_the_card_for_renewals(shop: StripeShop) -> None:
    owner = shop.make_customer()
    data = {"setup_future_usage": "off_session"}
    session = shop.make_session(customer=owner.id, payment_intent_data=data)
    shop.sandbox.pay(session.url, "pm_card_authenticationRequiredOnSetup")

    (method,) = shop.v1.customers.payment_methods.list(owner.id).data

    assert shop.renew(owner.id, method.id).status == "succeeded"


def test_without_future_usage_nothing_is_saved(shop: StripeShop) -> None:
    owner = shop.make_customer()
    shop.sandbox.pay(shop.make_session(customer=owner.id).url)

    assert shop.v1.customers.payment_methods.list(owner.id).data == []


def test_setup_mode_saves_a_card_without_charging(shop: StripeShop) -> None:
    owner = shop.make_customer()
    params = {"mode": "setup", "currency": "usd", "customer": owner.id, "success_url": "https://shop.example/done"}
    session = shop.v1.checkout.sessions.create(params)
    assert session.payment_status == "no_payment_required"

    shop.sandbox.pay(session.url)

    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    assert done.setup_intent.status == "succeeded"
    assert done.setup_intent.payment_method.customer == owner.id
    assert "setup_intent.succeeded" in shop.kinds()
    assert "charge" not in shop.sandbox.stripe_state()


def test_subscription_mode_creates_everything_only_on_completion(shop: StripeShop) -> None:
    session = shop.v1.checkout.sessions.create(subscription_params())
    assert (session.subscription, session.invoice) == (None, None)
    shop.sandbox.pay(session.url, "pm_card_chargeDeclined")
    assert "subscription" not in shop.sandbox.stripe_state()

    shop.sandbox.pay(session.url)

    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    item = done.subscription["items"].data[0]
    assert done.subscription.status == "active"
    assert not hasattr(done.subscription, "current_period_end")
    assert item.current_period_end > item.current_period_start
    assert done.invoice.status == "paid"
    assert done.invoice.billing_reason == "subscription_create"
    assert done.invoice.parent.subscription_details.subscription == done.subscription.id
    assert done.invoice.parent.subscription_details.metadata["service"] == "svc_42"
    (payment,) = shop.v1.invoice_payments.list({"invoice": done.invoice.id}).data
    assert shop.v1.payment_intents.retrieve(payment.payment.payment_intent).amount_received == 1250


def test_a_trial_starts_without_a_payment(shop: StripeShop) -> None:
    done = shop.subscribe(subscription_data={"trial_period_days": 7})

    assert done.payment_status == "no_payment_required"
    assert shop.v1.subscriptions.retrieve(done.subscription).status == "trialing"


def test_a_subscription_renews_on_its_date(shop: StripeShop) -> None:
    done = shop.subscribe()

    shop.sandbox.advance(32 * DAY)

    latest = shop.v1.subscriptions.retrieve(done.subscription).latest_invoice
    first, second = shop.v1.invoices.retrieve(done.invoice), shop.v1.invoices.retrieve(latest)
    assert (first.billing_reason, first.status) == ("subscription_create", "paid")
    assert (second.billing_reason, second.status) == ("subscription_cycle", "paid")
    assert second.lines.data[0].period.start == first.lines.data[0].period.end


def test_a_card_declined_later_makes_the_subscription_past_due_then_canceled(shop: StripeShop) -> None:
    done = shop.subscribe("pm_card_declineLater")
    shop.sandbox.advance(32 * DAY)
    late = shop.v1.subscriptions.retrieve(done.subscription, {"expand": ["latest_invoice"]})
    assert (late.status, late.latest_invoice.status) == ("past_due", "open")
    invoice = late.latest_invoice
    assert (invoice.attempt_count, invoice.next_payment_attempt > shop.sandbox.now()) == (1, True)

    for _ in range(3):
        shop.sandbox.advance(3 * DAY + HOUR)

    ended = shop.v1.subscriptions.retrieve(done.subscription)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert shop.kinds().count("invoice.payment_failed") == 4
    assert "customer.subscription.deleted" in shop.kinds()


def test_a_past_due_subscription_recovers_with_a_new_card(shop: StripeShop) -> None:
    done = shop.subscribe("pm_card_declineLater")
    shop.sandbox.advance(32 * DAY)
    method = shop.v1.payment_methods.attach("pm_card_visa", {"customer": done.customer})
    shop.v1.subscriptions.update(done.subscription, {"default_payment_method": method.id})

    shop.v1.invoices.pay(shop.v1.subscriptions.retrieve(done.subscription).latest_invoice)

    assert shop.v1.subscriptions.retrieve(done.subscription).status == "active"


def test_an_invoice_is_paid_with_a_card_of_its_customer_only(shop: StripeShop) -> None:
    done = shop.subscribe("pm_card_declineLater")
    shop.sandbox.advance(32 * DAY)
    _, foreign = shop.save_card()
    latest = shop.v1.subscriptions.retrieve(done.subscription).latest_invoice

    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.invoices.pay(latest, {"payment_method": foreign})

    assert refused.value.param == "payment_method"
    assert shop.v1.invoices.retrieve(latest).status == "open"


def test_canceling_at_period_end_lets_the_paid_time_run_out(shop: StripeShop) -> None:
    done = shop.subscribe()
    shop.v1.subscriptions.update(done.subscription, {"cancel_at_period_end": True})
    assert shop.v1.subscriptions.retrieve(done.subscription).status == "active"

    shop.sandbox.advance(32 * DAY)

    ended = shop.v1.subscriptions.retrieve(done.subscription)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "cancellation_requested")
    assert len(shop.sandbox.stripe_state()["invoice"]) == 1


def test_a_bank_debit_does_not_activate_a_subscription_before_it_clears(shop: StripeShop) -> None:
    done = shop.subscribe("pm_usBankAccount_success")
    assert done.payment_status == "unpaid"
    assert shop.v1.subscriptions.retrieve(done.subscription).status == "incomplete"

    shop.sandbox.advance(30)

    assert shop.v1.subscriptions.retrieve(done.subscription).status == "active"
    assert shop.v1.invoices.retrieve(done.invoice).status == "paid"


def test_months_keep_their_anchor_day(shop: StripeShop) -> None:
    shop.sandbox.set_clock(1_801_353_600)  # 2027-01-31
    done = shop.subscribe()
    ends = []
    for _ in range(3):
        item = shop.v1.subscriptions.retrieve(done.subscription)["items"].data[0]
        ends.append(item.current_period_end)
        shop.sandbox.set_clock(item.current_period_end + 5)

    days = [(end - 1_801_353_600) // DAY for end in ends]

    assert days == [28, 59, 89]  # 28 February, 31 March, 30 April


def test_the_portal_lets_a_customer_change_the_card(shop: StripeShop) -> None:
    done = shop.subscribe()
    portal = shop.v1.billing_portal.sessions.create(
        {"customer": done.customer, "return_url": "https://shop.example/account"}
    )
    assert "Renews on" in requests.get(portal.url, timeout=5).text

    form = {"action": "add", "card": "pm_card_mastercard"}
    requests.post(portal.url, data=form, timeout=5).raise_for_status()

    owner = shop.v1.customers.retrieve(done.customer, {"expand": ["invoice_settings.default_payment_method"]})
    assert owner.invoice_settings.default_payment_method.card.brand == "mastercard"
    shop.sandbox.advance(2 * HOUR)
    assert requests.get(portal.url, timeout=5).status_code == 410


def test_a_page_shows_what_it_was_given_as_text(shop: StripeShop) -> None:
    params = session_params()
    params["line_items"][0]["price_data"]["product_data"]["name"] = "<script>alert(1)</script>"

    page = requests.get(shop.v1.checkout.sessions.create(params).url, timeout=5)

    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
