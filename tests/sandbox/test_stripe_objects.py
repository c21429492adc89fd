"""Every field the pinned library promises is there, at every depth."""

import typing
from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from stripe import StripeObject, billing_portal, checkout

from sandbox.client import Sandbox
from tests.sandbox.stripe_shop import StripeShop

CLASSES: dict[str, type[StripeObject]] = {
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.session": billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "payout": stripe.Payout,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
}
PREFIXES = {
    "charge": "ch_",
    "checkout.session": "cs_test_",
    "customer": "cus_",
    "dispute": "dp_",
    "event": "evt_",
    "invoice": "in_",
    "payment_intent": "pi_",
    "payment_method": "pm_",
    "payout": "po_",
    "price": "price_",
    "product": "prod_",
    "refund": "re_",
    "setup_intent": "seti_",
    "subscription": "sub_",
    "billing_portal.session": "bps_",
}
NESTED: dict[str, type[StripeObject]] = {
    "line_item": stripe.InvoiceLineItem,
    "subscription_item": stripe.SubscriptionItem,
    "item": stripe.LineItem,
}


@pytest.fixture(scope="module")
def populated(running_sandbox: Sandbox) -> dict[str, list[dict[str, Any]]]:
    """One or more objects of every kind, made as a shop would."""
    running_sandbox.reset()
    shop = StripeShop(running_sandbox)
    running_sandbox.stripe_settings(gaps=[])
    done = shop.subscribe(subscription_data={"trial_period_days": 3})
    shop.subscribe()
    running_sandbox.pay(shop.make_session().url)
    shop.v1.refunds.create({"payment_intent": shop.charge().id, "amount": 100})
    running_sandbox.dispute(shop.charge().id)
    shop.charge("pm_usBankAccount_success")
    running_sandbox.pay_out(500)
    shop.v1.billing_portal.sessions.create({"customer": done.customer})
    shop.make_session()
    return running_sandbox.stripe_state()


def promised(kind: type[StripeObject]) -> dict[str, Any]:
    """The annotations without None among their types, which every object must therefore carry."""
    return {
        name: hint
        for name, hint in kind.__annotations__.items()
        if name != "OBJECT_NAME" and type(None) not in typing.get_args(hint)
    }


def missing(kind: type[StripeObject], thing: dict[str, Any], path: str) -> Iterator[str]:
    """The promised fields an object lacks, with their paths."""
    for name, hint in promised(kind).items():
        if name not in thing:
            yield f"{path}.{name}"
            continue
        for each in thing[name] if isinstance(thing[name], list) else [thing[name]]:
            for inner in (hint, *typing.get_args(hint)):
                is_class = isinstance(inner, type) and issubclass(inner, StripeObject)
                if is_class and isinstance(each, dict) and inner.__annotations__:
                    yield from missing(inner, each, f"{path}.{name}") if inner is not stripe.ListObject else ()


def listed(thing: Any) -> Iterator[dict[str, Any]]:
    """Objects inside embedded lists."""
    if isinstance(thing, dict):
        if isinstance(thing.get("object"), str) and thing["object"] in NESTED:
            yield thing
        for value in thing.values():
            yield from listed(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from listed(value)


@pytest.mark.parametrize("kind", sorted(CLASSES))
def test_objects_have_every_promised_field(populated: dict[str, list[dict[str, Any]]], kind: str) -> None:
    assert populated.get(kind), f"no {kind} was made"
    assert promised(CLASSES[kind]), "the library's annotations were read"

    lacking = {path for thing in populated[kind] for path in missing(CLASSES[kind], thing, kind)}

    assert lacking == set()


def test_objects_inside_lists_have_every_promised_field(populated: dict[str, list[dict[str, Any]]]) -> None:
    found = [inner for things in populated.values() for thing in things for inner in listed(thing)]

    lacking = {path for inner in found for path in missing(NESTED[inner["object"]], inner, inner["object"])}

    assert {inner["object"] for inner in found} >= {"line_item", "subscription_item"}
    assert lacking == set()


@pytest.mark.parametrize(("kind", "prefix"), sorted(PREFIXES.items()))
def test_ids_have_their_prefix(populated: dict[str, list[dict[str, Any]]], kind: str, prefix: str) -> None:
    assert all(thing["id"].startswith(prefix) for thing in populated[kind])


def test_line_items_of_a_session_have_every_promised_field(shop: StripeShop) -> None:
    session = shop.make_session()

    (line,) = shop.v1.checkout.sessions.line_items.list(session.id).data

    assert set(missing(stripe.LineItem, line.to_dict(), "item")) == set()


def test_what_a_charge_and_a_dispute_say_of_the_payment_method_is_what_stripe_says(
    populated: dict[str, list[dict[str, Any]]],
) -> None:
    charges = {each["payment_method_details"]["type"]: each["payment_method_details"] for each in populated["charge"]}
    assert set(charges["us_bank_account"]["us_bank_account"]) <= set(
        stripe.Charge.PaymentMethodDetails.UsBankAccount.__annotations__
    )
    assert set(charges["card"]["card"]) <= set(stripe.Charge.PaymentMethodDetails.Card.__annotations__)
    (dispute,) = populated["dispute"]
    assert set(dispute["payment_method_details"]["card"]) == set(
        stripe.Dispute.PaymentMethodDetails.Card.__annotations__
    )


def test_fields_that_moved_are_gone(populated: dict[str, list[dict[str, Any]]]) -> None:
    gone = {
        "subscription": {"current_period_end", "current_period_start"},
        "invoice": {"subscription", "payment_intent", "charge", "paid", "tax"},
        "charge": {"invoice", "refunds"},
        "payment_intent": {"invoice"},
    }

    for kind, names in gone.items():
        assert not names & set(populated[kind][0])
