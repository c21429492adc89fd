"""Stripe's minor units and ours."""

import pytest

from billing.gateways.stripe.fields import from_stripe_amount, to_stripe_amount
from core.money import Money
from core.outside import Rejected


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        (Money(1250, "USD"), 1250),
        (Money(1250, "JPY"), 1250),
        (Money(15_000_000, "IDR"), 15_000_000),  # Rp 150.000
        (Money(1500, "ISK"), 150_000),
        (Money(1500, "UGX"), 150_000),
        (Money(1250, "KWD"), 1250),
        (Money(500_000, "MGA"), 5_000),
        (Money(0, "USD"), 0),
        (Money(2**62, "USD"), 2**62),
    ],
)
def test_an_amount_is_the_same_after_it_was_converted_for_stripe_and_back(amount: Money, sent: int) -> None:
    assert to_stripe_amount(amount) == sent
    assert from_stripe_amount(sent, amount.currency.lower()) == amount


@pytest.mark.parametrize("amount", [Money(1255, "KWD"), Money(50, "MGA")])
def test_what_stripe_cannot_express_is_refused_and_not_rounded(amount: Money) -> None:
    with pytest.raises(Rejected):
        to_stripe_amount(amount)


def test_a_broken_amount_from_stripe_is_refused() -> None:
    with pytest.raises(Rejected):
        from_stripe_amount(150_001, "isk")
