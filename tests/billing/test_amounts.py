"""Stripe's minor units against ours, at the edge."""

import pytest

from billing.gateways.stripe.amounts import from_stripe, to_stripe
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
def test_amounts_cross_the_edge_and_come_back(amount: Money, sent: int) -> None:
    assert to_stripe(amount) == sent
    assert from_stripe(sent, amount.currency.lower()) == amount


@pytest.mark.parametrize("amount", [Money(1255, "KWD"), Money(50, "MGA")])
def test_what_stripe_cannot_express_is_refused_and_not_rounded(amount: Money) -> None:
    with pytest.raises(Rejected):
        to_stripe(amount)


def test_a_broken_amount_from_stripe_is_refused() -> None:
    with pytest.raises(Rejected):
        from_stripe(150_001, "isk")
