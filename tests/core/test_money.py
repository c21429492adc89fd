"""Money is whole minor units, exact, and of one currency."""

from decimal import Decimal

import pytest
from django.utils import translation

from billing.gateways.stripe.fields import to_stripe_amount
from core.money import CurrencyMismatch, Money, Rate, TooFine, exponent, payable_step, total
from sandbox.stripe.money import check_amount


@pytest.mark.parametrize(
    ("currency", "places"), [("JPY", 0), ("USD", 2), ("EUR", 2), ("IDR", 2), ("KWD", 3), ("CLF", 4)]
)
def test_each_currency_has_its_own_number_of_decimal_places(currency: str, places: int) -> None:
    assert exponent(currency) == places
    assert Money.parse("1", currency).minor == 10**places
    assert Money(1, currency).amount == Decimal(1).scaleb(-places)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("12.5", "USD", 1250),
        ("0", "USD", 0),
        ("-3.01", "EUR", -301),
        ("1500", "JPY", 1500),
        ("1500.0", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("99999999999999.99", "USD", 9999999999999999),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "1e309",
        "1e3",
        "1_000",
        "1,000",
        "12.345",
        "\uff11\uff12",
        "\u0661",
        " 1",
        "1\n",
        "0x10",
        "+1",
        ".5",
        "5.",
        "--1",
        "9" * 15,
        "9" * 5000,
        "1\x00",
        "１.00",
        "$5",
    ],
)
def test_text_that_is_not_a_plain_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|minor units"):
        Money.parse(text, "USD")


def test_more_places_than_the_currency_has_are_refused_rather_than_rounded() -> None:
    with pytest.raises(TooFine, match="minor units of JPY"):
        Money.parse("10.5", "JPY")


@pytest.mark.parametrize(
    ("currency", "step"),
    [("USD", 1), ("JPY", 1), ("ISK", 1), ("UGX", 1), ("KWD", 10), ("BHD", 10), ("IDR", 100), ("MGA", 100)],
)
def test_what_can_be_paid_goes_in_steps_that_stripe_takes(currency: str, step: int) -> None:
    assert payable_step(currency) == Money(step, currency)
    check_amount(to_stripe_amount(Money(step * 100_003, currency)), currency.lower())


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("0.0069", "USD", "0.69"), ("8", "USD", "800"), ("0.000000000001", "USD", "1E-10"), ("0.5", "JPY", "0.5")],
)
def test_a_rate_is_read_exactly(text: str, currency: str, minor: str) -> None:
    assert Rate.parse(text, currency) == Rate(Decimal(minor), currency)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("0.00000000001", TooFine), ("99999999999", ValueError), ("NaN", ValueError), ("1e3", ValueError)],
)
def test_a_rate_that_its_column_cannot_hold_is_refused(text: str, problem: type[ValueError]) -> None:
    with pytest.raises(problem):
        Rate.parse(text, "JPY")


@pytest.mark.parametrize("minor", [1.0, Decimal(1), True, "1", None])
def test_minor_units_are_whole_numbers(minor: object) -> None:
    with pytest.raises(TypeError):
        Money(minor, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["usd", "US", "USDT", "U$D", "USD\n", "", "ＵＳＤ"])
def test_a_currency_is_three_capital_letters(code: str) -> None:
    with pytest.raises(ValueError, match="currency code"):
        Money(1, code)


def test_two_currencies_cannot_be_summed_or_compared() -> None:
    dollars, euros = Money(1, "USD"), Money(1, "EUR")
    for mix in (
        lambda: dollars + euros,
        lambda: dollars - euros,
        lambda: dollars < euros,
        lambda: dollars <= euros,
        lambda: dollars > euros,
        lambda: dollars >= euros,
        lambda: total([dollars, euros], "USD"),
    ):
        with pytest.raises(CurrencyMismatch):
            mix()
    assert dollars != euros


def test_sums_products_and_order_are_those_of_the_minor_units() -> None:
    assert Money(5, "USD") + Money(7, "USD") == Money(12, "USD")
    assert Money(5, "USD") - Money(7, "USD") == Money(-2, "USD")
    assert -Money(5, "USD") * 3 == Money(-15, "USD")
    assert Money(1, "USD") < Money(2, "USD") <= Money(2, "USD")
    assert Money(3, "USD") > Money(2, "USD") >= Money(2, "USD")
    assert total([], "USD") == Money.zero("USD")
    assert total([Money(1, "USD"), Money(2, "USD")], "USD") == Money(3, "USD")
    assert not Money.zero("USD")
    assert Money(-1, "USD")


@pytest.mark.parametrize("times", [0.5, Decimal(2), True, "2"])
def test_money_is_multiplied_by_whole_numbers_only(times: object) -> None:
    with pytest.raises(TypeError):
        Money(5, "USD") * times  # type: ignore[operator]


@pytest.mark.parametrize(
    ("money", "formatted"),
    [
        (Money(1250, "USD"), "$12.50"),
        (Money(-500, "EUR"), "-€5.00"),
        (Money(1500, "JPY"), "¥1,500"),
        (Money(1234, "KWD"), "KWD\xa01.234"),
        (Money(-1234, "KWD"), "-KWD\xa01.234"),
        (Money(5_000_000, "IDR"), "Rp\xa050.000"),
        (Money(-5_000_000, "IDR"), "-Rp\xa050.000"),
        (Money(1234560, "IDR"), "Rp\xa012.345,60"),
        (Money(0, "IDR"), "Rp\xa00"),
        (Money(1250, "RSD"), "RSD\xa012.50"),  # CLDR formats dinars without decimals
        (Money(1500, "IQD"), "IQD\xa01.500"),
        (Rate(Decimal("0.69"), "USD"), "$0.0069"),
        (Rate(Decimal(800), "USD"), "$8.00"),
        (Rate(Decimal("0.5"), "JPY"), "¥0.5"),
        (Rate(Decimal(1250), "KWD"), "KWD\xa01.250"),
        (Rate(Decimal("1050.5"), "IDR"), "Rp\xa010,505"),
    ],
)
def test_money_is_formatted_to_the_last_minor_unit(money: Money | Rate, formatted: str) -> None:
    assert str(money) == formatted


def test_money_is_formatted_for_the_language_of_the_reader() -> None:
    with translation.override("de"):
        assert str(Money(123456, "EUR")) == "1.234,56\xa0€"
        assert str(Money(5_000_000, "IDR")) == "Rp\xa050.000"
