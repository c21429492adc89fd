"""The form, the key, the version: what the stand-in refuses before doing anything."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe_shop import KEY, StripeShop, session_params

VERSION = "2026-10-28.endive"


def refusal(shop: StripeShop, path: str, body: str) -> dict:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(f"{shop.sandbox.stripe_url}{path}", data=body, headers=headers, timeout=5)
    assert answer.status_code == 400, answer.text
    error: dict = answer.json()["error"]
    return error


def session_with(shop: StripeShop, **fields: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.make_session(**fields)
    return refused.value


def price_line(**price: object) -> list[dict]:
    data = {"currency": "usd", "unit_amount": 1250, "product_data": {"name": "x"}} | price
    return [{"price_data": {key: value for key, value in data.items() if value is not None}, "quantity": 1}]


def test_every_answer_names_its_request_and_version(shop: StripeShop) -> None:
    answer = requests.get(
        f"{shop.sandbox.stripe_url}/v1/customers", headers={"Authorization": f"Bearer {KEY}"}, timeout=5
    )

    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == VERSION
    assert stripe.api_version == VERSION


@pytest.mark.parametrize("key", ["", "sk_live_real", "nonsense"])
def test_without_a_test_key_nothing_is_answered(shop: StripeShop, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = requests.get(f"{shop.sandbox.stripe_url}/v1/customers", headers=headers, timeout=5)

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_another_api_version_is_refused(shop: StripeShop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="API version"):
        shop.v1.customers.list({}, {"stripe_version": "2022-08-01"})


def test_an_unknown_address_is_404_in_stripes_form(shop: StripeShop) -> None:
    answer = requests.get(
        f"{shop.sandbox.stripe_url}/v1/payouts", headers={"Authorization": f"Bearer {KEY}"}, timeout=5
    )

    assert answer.status_code == 404
    assert "Unrecognized request URL" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/customers", "emial=a", "emial"),
        ("/v1/checkout/sessions", "mode=payment&line_items[0][cost]=3", "line_items[0][cost]"),
        ("/v1/payment_intents", "amount=100&currency=usd&balance=9", "balance"),
    ],
)
def test_an_unknown_parameter_is_named(shop: StripeShop, path: str, body: str, param: str) -> None:
    error = refusal(shop, path, body)

    assert (error["code"], error["param"]) == ("parameter_unknown", param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/payment_intents", "currency=usd", "amount"),
        ("/v1/payment_intents", "amount=100", "currency"),
        ("/v1/checkout/sessions", "success_url=https://a.example", "mode"),
        ("/v1/billing_portal/sessions", "return_url=https://a.example", "customer"),
    ],
)
def test_a_missing_parameter_is_named(shop: StripeShop, path: str, body: str, param: str) -> None:
    error = refusal(shop, path, body)

    assert (error["code"], error["param"]) == ("parameter_missing", param)


@pytest.mark.parametrize("path", ["/v1/checkout/sessions", "/v1/payment_intents", "/v1/setup_intents"])
def test_endive_refuses_payment_method_types(shop: StripeShop, path: str) -> None:
    error = refusal(shop, path, "payment_method_types[0]=card")

    assert error["code"] == "payment_method_types_no_longer_supported"


@pytest.mark.parametrize("amount", ["abc", "1e309", "NaN", "12.5", "１", "", "99999999999999999999"])
def test_an_amount_that_is_not_a_whole_number_is_refused(shop: StripeShop, amount: str) -> None:
    error = refusal(shop, "/v1/payment_intents", f"amount={amount}&currency=usd")

    assert error["code"] in {"parameter_invalid_integer", "parameter_invalid_empty"}


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (-5, "usd", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
    ],
)
def test_an_amount_out_of_bounds_is_refused(shop: StripeShop, amount: int, currency: str, code: str) -> None:
    error = refusal(shop, "/v1/payment_intents", f"amount={amount}&currency={currency}")

    assert error["code"] == code


@pytest.mark.parametrize(("amount", "currency"), [(50, "usd"), (150_000_000, "idr"), (99_999_999, "usd"), (500, "jpy")])
def test_an_amount_within_bounds_is_taken(shop: StripeShop, amount: int, currency: str) -> None:
    assert shop.v1.payment_intents.create({"amount": amount, "currency": currency}).amount == amount


@pytest.mark.parametrize(("amount", "currency"), [(1001, "kwd"), (1050, "isk"), (1000, "zzz")])
def test_steps_a_currency_lacks_and_unknown_currencies_are_refused(
    shop: StripeShop, amount: int, currency: str
) -> None:
    assert refusal(shop, "/v1/payment_intents", f"amount={amount}&currency={currency}")


def test_price_and_price_data_exclude_each_other(shop: StripeShop) -> None:
    line = price_line()[0] | {"price": "price_x"}

    assert session_with(shop, line_items=[line]).param == "line_items[0][price]"


def test_a_line_without_quantity_is_refused(shop: StripeShop) -> None:
    line = {"price_data": price_line()[0]["price_data"]}

    assert session_with(shop, line_items=[line]).param == "line_items[0][quantity]"


def test_a_session_below_the_smallest_charge_is_refused(shop: StripeShop) -> None:
    assert session_with(shop, line_items=price_line(unit_amount=49)).code == "amount_too_small"


@pytest.mark.parametrize("seconds", [29 * 60, 24 * 3600 + 60, -60])
def test_expiry_lies_between_half_an_hour_and_a_day(shop: StripeShop, seconds: int) -> None:
    assert session_with(shop, expires_at=int(shop.sandbox.now()) + seconds).param == "expires_at"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"success_url": None}, "success_url"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"success_url": "https://a.example/\r\nX: y"}, "success_url"),
        ({"client_reference_id": "x" * 201}, "client_reference_id"),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata"),
        ({"customer": "cus_none"}, "customer"),
        ({"subscription_data": {"metadata": {"a": "b"}}}, "subscription_data"),
    ],
)
def test_a_session_is_refused_for(shop: StripeShop, fields: dict, param: str) -> None:
    assert session_with(shop, **fields).param == param


def test_a_customer_and_an_address_for_a_new_one_exclude_each_other(shop: StripeShop) -> None:
    owner = shop.make_customer()

    assert session_with(shop, customer=owner.id, customer_email="b@example.com").param == "customer"


def test_a_recurring_price_needs_subscription_mode(shop: StripeShop) -> None:
    assert session_with(shop, line_items=price_line(recurring={"interval": "month"})).param == "line_items"


def test_metadata_merges_and_blank_deletes(shop: StripeShop) -> None:
    customer = shop.make_customer(metadata={"a": "1", "b": "2"})

    changed = shop.v1.customers.update(customer.id, {"metadata": {"a": "", "c": "3"}})

    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}


def test_a_property_that_is_no_id_cannot_be_expanded(shop: StripeShop) -> None:
    session = shop.make_session()

    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["nonsense"]})


def test_pages_follow_cursors_both_ways(shop: StripeShop) -> None:
    made = [shop.make_customer().id for _ in range(5)]

    first = shop.v1.customers.list({"limit": 2})
    second = shop.v1.customers.list({"limit": 2, "starting_after": first.data[-1].id})
    back = shop.v1.customers.list({"limit": 2, "ending_before": second.data[0].id})

    assert [each.id for each in first.data] == [made[4], made[3]]
    assert [each.id for each in second.data] == [made[2], made[1]]
    assert [each.id for each in back.data] == [made[4], made[3]]
    assert first.has_more
    assert not back.has_more
    assert [each.id for each in shop.v1.customers.list({"limit": 2}).auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize("limit", [0, 101])
def test_a_page_holds_one_to_a_hundred(shop: StripeShop, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.list({"limit": limit})


def test_sessions_cannot_be_listed_by_reference(shop: StripeShop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.checkout.sessions.list({"client_reference_id": session_params()["client_reference_id"]})

    assert refused.value.code == "parameter_unknown"


def test_events_are_listed_by_type_and_time(shop: StripeShop) -> None:
    shop.make_customer()
    shop.sandbox.advance(1000)
    shop.make_customer()
    late = int(shop.sandbox.now()) - 500

    assert len(shop.v1.events.list({"types": ["customer.created"]}).data) == 2
    assert len(shop.v1.events.list({"types": ["customer.created"], "created": {"gte": late}}).data) == 1
    assert shop.v1.events.list({"types": ["charge.failed"]}).data == []
