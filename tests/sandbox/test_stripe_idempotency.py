"""One key, one operation: replay, mismatch, running, forgotten; and answers that never arrive."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_shop import StripeShop, client_for, session_params


def intents(shop: StripeShop) -> list[dict]:
    return shop.sandbox.stripe_state().get("payment_intent", [])


def test_the_same_key_replays_the_first_answer(shop: StripeShop) -> None:
    first = shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})
    again = shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})

    assert again.id == first.id
    assert again.last_response.body == first.last_response.body
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Idempotency-Key"] == "k1"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert len(shop.sandbox.stripe_state()["checkout.session"]) == 1


def test_a_replay_shows_the_past_not_the_present(shop: StripeShop) -> None:
    session = shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})
    shop.sandbox.pay(session.url)

    assert shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"}).status == "open"


def test_the_same_key_with_other_parameters_is_refused(shop: StripeShop) -> None:
    shop.v1.checkout.sessions.create(session_params(1250), {"idempotency_key": "k1"})

    with pytest.raises(stripe.IdempotencyError):
        shop.v1.checkout.sessions.create(session_params(1251), {"idempotency_key": "k1"})


def test_a_refused_charge_is_replayed_without_a_second_attempt(shop: StripeShop) -> None:
    customer, method = shop.save_card("pm_card_chargeDeclined")
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            shop.renew(customer, method, key="invoice-17-attempt-2")
        assert refused.value.http_status == 402

    assert (refused.value.headers or {})["Idempotent-Replayed"] == "true"
    assert len(intents(shop)) == 1
    assert len(shop.sandbox.stripe_state()["charge"]) == 1


def test_an_invalid_request_does_not_use_the_key_up(shop: StripeShop) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.create({"nonsense": "1"}, {"idempotency_key": "k1"})

    assert shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"}).email == "a@example.com"


@pytest.mark.parametrize(("hours", "sessions"), [(23, 1), (25, 2)])
def test_a_key_is_forgotten_after_a_day(shop: StripeShop, hours: int, sessions: int) -> None:
    shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})
    shop.sandbox.advance(hours * 3600)
    shop.v1.checkout.sessions.create(session_params(), {"idempotency_key": "k1"})

    assert len(shop.sandbox.stripe_state()["checkout.session"]) == sessions


def test_the_same_key_while_the_first_runs_is_a_conflict(shop: StripeShop) -> None:
    shop.sandbox.stripe_settings(work_seconds=0.3)
    clients = [client_for(shop.sandbox) for _ in range(4)]

    def attempt(client: stripe.StripeClient) -> str:
        try:
            return client.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"}).id
        except stripe.APIError as error:
            body: Any = error.json_body
            return f"{error.http_status} {body['error']['code']}"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(attempt, clients))

    assert outcomes.count("409 idempotency_key_in_use") == 3
    assert len(shop.sandbox.stripe_state()["customer"]) == 1


def test_a_lost_answer_is_found_again_under_its_key(shop: StripeShop) -> None:
    customer, method = shop.save_card()
    shop.sandbox.arm("stripe", "POST /v1/payment_intents", "lose_answer")
    with pytest.raises(stripe.APIConnectionError):
        shop.renew(customer, method, key="a1")
    assert [intent["status"] for intent in intents(shop)] == ["succeeded"]

    again = shop.renew(customer, method, key="a1")

    assert again.status == "succeeded"
    assert len(intents(shop)) == 1


def test_a_dropped_call_did_nothing(shop: StripeShop) -> None:
    shop.sandbox.arm("stripe", "POST /v1/customers", "drop")

    with pytest.raises(stripe.APIConnectionError):
        shop.make_customer()

    assert "customer" not in shop.sandbox.stripe_state()


def test_a_500_is_stored_under_the_key(shop: StripeShop) -> None:
    shop.sandbox.arm("stripe", "POST /v1/customers", "status", status=500)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"})
        assert failed.value.http_status == 500

    assert shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k2"}).id


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, stripe.AuthenticationError),
        (403, stripe.PermissionError),
        (409, stripe.APIError),
        (429, stripe.RateLimitError),
    ],
)
def test_an_armed_status_is_not_stored(shop: StripeShop, status: int, error: type[stripe.StripeError]) -> None:
    shop.sandbox.arm("stripe", "POST /v1/customers", "status", status=status, headers={"Retry-After": "1"})
    with pytest.raises(error) as failed:
        shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"})
    assert (failed.value.headers or {})["Retry-After"] == "1"

    assert shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"}).id


def test_a_slow_answer_times_out_though_the_work_is_done(shop: StripeShop) -> None:
    shop.sandbox.arm("stripe", "POST /v1/customers", "hang", seconds=0.6)
    quick = stripe.StripeClient(
        "sk_test_sandbox",
        base_addresses={"api": shop.sandbox.stripe_url},
        http_client=stripe.RequestsClient(timeout=0.2),
    )

    with pytest.raises(stripe.APIConnectionError):
        quick.v1.customers.create({"email": "a@example.com"})

    assert len(shop.sandbox.stripe_state()["customer"]) == 1


def test_a_delay_only_delays(shop: StripeShop) -> None:
    shop.sandbox.arm("stripe", "GET /v1/customers", "delay", seconds=0.2, after=1, times=1)
    shop.v1.customers.list()

    started = shop.sandbox.now()
    shop.v1.customers.list()

    assert shop.sandbox.now() - started >= 0.2


def test_a_page_instead_of_json_is_an_error(shop: StripeShop) -> None:
    shop.sandbox.arm("stripe", "GET /v1/customers", "html")

    with pytest.raises(stripe.APIError):
        shop.v1.customers.list()


def test_a_huge_answer_is_huge(shop: StripeShop) -> None:
    shop.sandbox.arm("stripe", "GET /v1/customers", "huge")

    assert len(shop.v1.customers.list()["filler"]) > 10_000_000


def test_requests_are_logged_with_their_key_and_without_secrets(shop: StripeShop) -> None:
    shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"})

    (seen,) = shop.sandbox.requests("stripe", "POST /v1/customers")

    assert (seen["idempotency_key"], seen["status"], seen["body"]) == ("k1", 200, {"email": "a@example.com"})
    assert "sk_test" not in str(seen)
