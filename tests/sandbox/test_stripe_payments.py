"""Off-session charges and what undoes them: declines, absent buyers, refunds, disputes."""

from typing import Any

import pytest
import stripe

from sandbox.client import SandboxError
from tests.sandbox.stripe_shop import StripeShop


def test_a_saved_card_is_charged_without_the_buyer(shop: StripeShop) -> None:
    charge = shop.charge(metadata={"attempt": "17-1"})

    assert (charge.status, charge.amount_received, charge.metadata["attempt"]) == ("succeeded", 2000, "17-1")
    assert "payment_intent.succeeded" in shop.kinds()


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_declineLater", "card_declined", "insufficient_funds"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
def test_a_refused_charge_says_why(shop: StripeShop, card: str, code: str, decline_code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        shop.charge(card)

    error: Any = refused.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline_code)
    assert error.error.payment_intent.status == "requires_payment_method"
    assert error.error.payment_intent.last_payment_error.code == code
    assert "payment_intent.payment_failed" in shop.kinds()


def test_a_refused_intent_is_confirmed_again_with_another_card(shop: StripeShop) -> None:
    customer, method = shop.save_card("pm_card_chargeDeclined")
    with pytest.raises(stripe.CardError) as refused:
        shop.renew(customer, method)
    other = shop.v1.payment_methods.attach("pm_card_visa", {"customer": customer})

    error: Any = refused.value.error
    intent = error.payment_intent.id
    again = shop.v1.payment_intents.confirm(intent, {"payment_method": other.id, "off_session": True})

    assert again.status == "succeeded"
    assert len(shop.sandbox.stripe_state()["payment_intent"]) == 1


def test_a_paid_intent_is_neither_confirmed_nor_canceled(shop: StripeShop) -> None:
    charge = shop.charge()

    for move in (shop.v1.payment_intents.confirm, shop.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            move(charge.id)
        assert refused.value.code == "payment_intent_unexpected_state"


def test_a_canceled_intent_stays_canceled(shop: StripeShop) -> None:
    intent = shop.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    shop.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})

    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})

    assert "charge" not in shop.sandbox.stripe_state()


@pytest.mark.parametrize(("outcome", "status"), [("succeed", "succeeded"), ("fail", "requires_payment_method")])
def test_a_present_buyer_is_asked_by_the_bank(shop: StripeShop, outcome: str, status: str) -> None:
    params = {"amount": 900, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True}
    intent = shop.v1.payment_intents.create(params | {"return_url": "https://shop.example/back"})
    assert intent.status == "requires_action"
    assert intent.next_action.redirect_to_url.url.startswith(shop.sandbox.base_url)

    shop.sandbox.authenticate(intent.id, outcome)

    assert shop.v1.payment_intents.retrieve(intent.id).status == status


def test_an_intent_may_prefer_an_error_to_a_question(shop: StripeShop) -> None:
    params = {"amount": 900, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True}

    with pytest.raises(stripe.CardError) as refused:
        shop.v1.payment_intents.create(params | {"error_on_requires_action": True})

    assert refused.value.code == "authentication_required"


def test_a_card_of_another_customer_is_refused(shop: StripeShop) -> None:
    _, method = shop.save_card()
    stranger = shop.make_customer()

    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.renew(stranger.id, method)

    assert refused.value.param == "payment_method"
    assert "charge" not in shop.sandbox.stripe_state()


def test_a_detached_card_cannot_be_charged(shop: StripeShop) -> None:
    customer, method = shop.save_card()
    shop.v1.payment_methods.detach(method)

    with pytest.raises(stripe.InvalidRequestError):
        shop.renew(customer, method)


def test_a_bank_debit_is_processing_until_it_clears(shop: StripeShop) -> None:
    charge = shop.charge("pm_usBankAccount_success")
    assert charge.status == "processing"

    shop.sandbox.advance(30)

    assert shop.v1.payment_intents.retrieve(charge.id).status == "succeeded"


def test_partial_refunds_use_the_charge_up(shop: StripeShop) -> None:
    charge = shop.charge()
    first = shop.v1.refunds.create({"payment_intent": charge.id, "amount": 500})
    assert (first.status, first.amount) == ("succeeded", 500)
    assert not shop.v1.charges.retrieve(charge.latest_charge).refunded

    rest = shop.v1.refunds.create({"payment_intent": charge.id})

    assert rest.amount == 1500
    assert shop.v1.charges.retrieve(charge.latest_charge).refunded
    assert shop.kinds().count("charge.refunded") == 2
    assert shop.kinds().count("refund.created") == 2
    assert len(shop.v1.refunds.list({"payment_intent": charge.id}).data) == 2


def test_a_refund_of_more_than_is_left_is_refused(shop: StripeShop) -> None:
    charge = shop.charge()
    shop.v1.refunds.create({"payment_intent": charge.id, "amount": 1500})

    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        shop.v1.refunds.create({"payment_intent": charge.id, "amount": 501})

    assert shop.v1.charges.retrieve(charge.latest_charge).amount_refunded == 1500


def test_a_second_full_refund_is_refused(shop: StripeShop) -> None:
    charge = shop.charge()
    shop.v1.refunds.create({"payment_intent": charge.id})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.refunds.create({"payment_intent": charge.id})

    assert refused.value.code == "charge_already_refunded"


@pytest.mark.parametrize("amount", [0, -1])
def test_a_refund_of_nothing_is_refused(shop: StripeShop, amount: int) -> None:
    charge = shop.charge()

    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.refunds.create({"payment_intent": charge.id, "amount": amount})


def test_there_is_nothing_to_refund_before_the_payment(shop: StripeShop) -> None:
    intent = shop.v1.payment_intents.create({"amount": 500, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        shop.v1.refunds.create({"payment_intent": intent.id})


def test_a_refund_that_succeeded_can_still_fail(shop: StripeShop) -> None:
    charge = shop.charge()
    refund = shop.v1.refunds.create({"payment_intent": charge.id})

    shop.sandbox.fail_refund(refund.id, "lost_or_stolen_card")

    failed = shop.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert shop.v1.charges.retrieve(charge.latest_charge).amount_refunded == 0
    assert "refund.failed" in shop.kinds()


@pytest.mark.parametrize(("card", "status"), [("pm_card_pendingRefund", "succeeded"), ("pm_card_refundFail", "failed")])
def test_a_slow_refund_ends_in_time(shop: StripeShop, card: str, status: str) -> None:
    charge = shop.charge(card)
    refund = shop.v1.refunds.create({"payment_intent": charge.id})
    assert refund.status in {"pending", "succeeded"}

    shop.sandbox.advance(30)

    assert shop.v1.refunds.retrieve(refund.id).status == status


@pytest.mark.parametrize(
    ("outcome", "balance"),
    [
        ("won", 2000 - 88 - 1500),
        ("lost", -88 - 1500),
    ],
)
def test_a_dispute_takes_the_money_until_a_outcome(shop: StripeShop, outcome: str, balance: int) -> None:
    charge = shop.charge()
    dispute = shop.sandbox.dispute(charge.id, "product_not_received")
    assert shop.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.refunds.create({"payment_intent": charge.id})
    assert refused.value.code == "charge_disputed"

    shop.sandbox.close_dispute(dispute["id"], outcome)

    assert shop.v1.disputes.retrieve(dispute["id"]).status == outcome
    assert shop.kinds()[-1] == "charge.dispute.closed"
    assert ("charge.dispute.funds_reinstated" in shop.kinds()) == (outcome == "won")
    assert "charge.dispute.funds_withdrawn" in shop.kinds()
    assert sum(entry.net for entry in shop.v1.balance_transactions.list().data) == balance


def test_a_lost_dispute_is_appealed_and_won(shop: StripeShop) -> None:
    dispute = shop.sandbox.dispute(shop.charge().id)
    shop.sandbox.close_dispute(dispute["id"], "lost")
    shop.sandbox.appeal_dispute(dispute["id"])
    assert shop.v1.disputes.retrieve(dispute["id"]).status == "appeal_under_review"

    shop.sandbox.close_dispute(dispute["id"], "won")

    assert shop.kinds()[-2:] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    assert sum(entry.net for entry in shop.v1.balance_transactions.list().data) == 2000 - 88 - 1500


def test_a_debit_that_the_bank_returns_is_a_lost_dispute_and_final(shop: StripeShop) -> None:
    charge = shop.charge("pm_usBankAccount_success")
    shop.sandbox.clear_debit(charge.id)

    shop.sandbox.return_debit(charge.id)

    (dispute,) = shop.v1.disputes.list({"payment_intent": charge.id}).data
    assert (dispute.status, dispute.reason, dispute.amount) == ("lost", "insufficient_funds", 2000)
    with pytest.raises(SandboxError, match="can be appealed"):
        shop.sandbox.appeal_dispute(dispute.id)


def test_the_dispute_card_is_disputed_by_itself(shop: StripeShop) -> None:
    charge = shop.charge("pm_card_createDispute")

    (dispute,) = shop.v1.disputes.list({"payment_intent": charge.id}).data

    assert (dispute.amount, dispute.reason, dispute.is_charge_refundable) == (2000, "fraudulent", False)
