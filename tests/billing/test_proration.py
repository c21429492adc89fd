"""What a change costs within a paid period: exact to the second, rounded once for each line, half to even."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import proration
from billing.models import Period, Subscription, SubscriptionItem
from billing.proration import NewItem, PaidTime
from catalog.models import PlanPrice, Term

SECOND = timedelta(seconds=1)


def day(year: int, month: int, number: int = 1, hour: int = 0) -> datetime:
    return datetime(year, month, number, hour, tzinfo=UTC)


def month(year: int, number: int) -> Period:
    return Period(day(year, number), day(year + number // 12, number % 12 + 1))


APRIL, MARCH, FEBRUARY, LEAP = month(2026, 4), month(2026, 3), month(2026, 2), month(2028, 2)
YEAR = Period(day(2027, 3), day(2028, 3))  # with 29 February


def lines_of(period: Period, paid: Fraction | int, price: int, at: datetime, currency: str = "USD") -> tuple[int, int]:
    """The credit and the charge, in minor units."""
    subscription = Subscription(currency=currency)
    item = SubscriptionItem(subscription=subscription, currency=currency, description="Small")
    term = Term.YEARLY if period == YEAR else Term.MONTHLY
    new = NewItem(PlanPrice(amount_minor=price, currency=currency, term=term), "Large")
    about: dict[str, Any] = {"subscription": subscription, "at": at}
    [credit] = proration.unused_lines([PaidTime(item, period, Fraction(paid))], **about)
    [charge] = proration.remaining_lines([new], [period], **about)
    assert credit.period == charge.period == Period(at, period.end)
    return credit.amount.minor, charge.amount.minor


@pytest.mark.parametrize(
    ("period", "paid", "price", "at", "currency", "expected"),
    [
        (APRIL, 3000, 6000, day(2026, 4, 16), "USD", (-1500, 3000)),
        (APRIL, 3000, 6000, APRIL.start, "USD", (-3000, 6000)),
        (APRIL, 3000, 6000, APRIL.start + SECOND, "USD", (-3000, 6000)),  # 2999.998…
        (APRIL, 259_200, 518_400, APRIL.start + SECOND, "USD", (-259_200, 518_400)),  # a tenth of a cent a second
        (APRIL, 2_592_000, 5_184_000, APRIL.start + SECOND, "USD", (-2_591_999, 5_183_998)),  # a cent a second
        (APRIL, 2_592_000, 5_184_000, APRIL.end - SECOND, "USD", (-1, 2)),
        (MARCH, 3100, 6200, day(2026, 3, 11), "USD", (-2100, 4200)),
        (FEBRUARY, 2800, 5600, day(2026, 2, 15), "USD", (-1400, 2800)),
        (LEAP, 2900, 5800, day(2028, 2, 29), "USD", (-100, 200)),
        (YEAR, 36_600, 73_200, day(2028, 2, 29), "USD", (-100, 200)),
        (APRIL, 500, 1000, day(2026, 4, 16), "JPY", (-250, 500)),
        (APRIL, 5, 7, day(2026, 4, 16), "JPY", (-2, 4)),  # 2.5 and 3.5: half to even
        (APRIL, 30_000, 60_000, day(2026, 4, 21), "KWD", (-10_000, 20_000)),
        (APRIL, Fraction(801, 2), 2000, day(2026, 4, 16), "USD", (-200, 1000)),  # half of a discount that was shared
        (APRIL, 0, 2000, day(2026, 4, 16), "USD", (0, 1000)),  # it was free
    ],
)
def test_a_change_costs_the_rest_of_the_period_to_the_second(
    period: Period, paid: Fraction | int, price: int, at: datetime, currency: str, expected: tuple[int, int]
) -> None:
    assert lines_of(period, paid, price, at, currency) == expected


@pytest.mark.parametrize(
    ("period", "anchor_day", "expected"),
    [
        (Period(day(2026, 4, 16), day(2026, 5)), 1, 1000),  # of April's thirty days ten are left
        (Period(day(2026, 4, 16), day(2026, 4, 30)), 31, 900),  # the term began on 31 March: nine of thirty
        (Period(day(2026, 4, 16), day(2026, 7)), 1, 7100),  # 71 days, and June has thirty
        (Period(day(2026, 4, 21), day(2026, 5, 21)), 21, 3000),
    ],
)
def test_a_period_that_is_no_whole_term_is_charged_by_the_term_that_ends_with_it(
    period: Period, anchor_day: int, expected: int
) -> None:
    subscription = Subscription(currency="USD", anchor_day=anchor_day)
    new = NewItem(PlanPrice(amount_minor=3000, currency="USD", term=Term.MONTHLY), "Large")

    [line] = proration.remaining_lines([new], [period], subscription=subscription, at=day(2026, 4, 21))

    assert line.amount.minor == expected


seconds = st.integers(min_value=1, max_value=30 * 86400 - 1)


@given(
    changes=st.lists(st.tuples(seconds, st.integers(min_value=0, max_value=10**7)), max_size=8),
    first=st.integers(min_value=0, max_value=10**7),
)
def test_after_any_changes_what_was_paid_is_the_price_of_each_second(
    changes: list[tuple[int, int]], first: int
) -> None:
    at_prices = sorted({APRIL.start + timedelta(seconds=offset): price for offset, price in changes}.items())
    paid, held, rounded = first, PaidTime(SubscriptionItem(currency="USD"), APRIL, Fraction(first)), 0
    for at, price in at_prices:
        credit, _charge = lines_of(held.period, held.paid, price, at)
        charge = proration.round_minor(price * proration.share(APRIL, at), "USD").minor
        held = PaidTime(held.item, Period(at, APRIL.end), Fraction(charge))
        paid, rounded = paid + credit + charge, rounded + 2

    instants = [(APRIL.start, first), *at_prices, (APRIL.end, 0)]
    used = Fraction(0)
    for (since, price), (until, _next) in pairwise(instants):
        used += price * Fraction((until - since) // SECOND, (APRIL.end - APRIL.start) // SECOND)
    assert abs(paid - used) <= Fraction(rounded, 2) + Fraction(len(at_prices), 2)


def test_the_shares_of_a_discount_are_the_discount() -> None:
    shares = proration.split_discount(-100, [100, 100, 101])

    assert sum(shares) == -100
    assert proration.split_discount(-100, [0]) == [0]
