"""Months that are not all alike."""

from datetime import UTC, datetime

import pytest

from billing.models import next_period_end
from catalog.models import Term


def walk(start: datetime, term: Term, count: int) -> list[str]:
    """The days on which the following periods begin."""
    days, day = [], start
    for _ in range(count):
        day = next_period_end(day, term, start.day)
        days.append(f"{day:%Y-%m-%d}")
    return days


def test_the_31st_of_january_comes_back_to_the_31st() -> None:
    bought = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    assert walk(bought, Term.MONTHLY, 4) == ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]


def test_in_a_leap_year_february_has_its_29th() -> None:
    assert walk(datetime(2028, 1, 30, tzinfo=UTC), Term.MONTHLY, 2) == ["2028-02-29", "2028-03-30"]


def test_a_year_bought_on_the_leap_day_returns_to_it() -> None:
    years = walk(datetime(2028, 2, 29, tzinfo=UTC), Term.YEARLY, 4)
    assert years == ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]


@pytest.mark.parametrize(
    ("term", "day"),
    [(Term.QUARTERLY, "2026-02-28"), (Term.SEMIANNUALLY, "2026-05-30"), (Term.YEARLY, "2026-11-30")],
)
def test_longer_terms_count_calendar_months_across_the_year(term: Term, day: str) -> None:
    assert walk(datetime(2025, 11, 30, tzinfo=UTC), term, 1) == [day]


def test_the_time_of_day_stays_through_the_hour_that_clocks_skip() -> None:
    bought = datetime(2026, 2, 28, 2, 30, tzinfo=UTC)
    assert next_period_end(bought, Term.MONTHLY, 28) == datetime(2026, 3, 28, 2, 30, tzinfo=UTC)


def test_an_hour_is_an_hour() -> None:
    assert next_period_end(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), Term.HOURLY, 29).hour == 1
