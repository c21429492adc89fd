"""Billing periods on the calendar, in UTC."""

import calendar
from datetime import UTC, datetime, timedelta

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}


def period_end(anchor: int, start: int, interval: str, count: int) -> int:
    """The first boundary after `start`, in unix seconds, counted from the anchor: a 31st returns after February."""
    if interval in DAYS:
        length = int(timedelta(days=DAYS[interval] * count).total_seconds())
        return anchor + ((start - anchor) // length + 1) * length
    step = MONTHS[interval] * count
    passed = 1
    while _months_after(anchor, passed * step) <= start:
        passed += 1
    return _months_after(anchor, passed * step)


def _months_after(anchor: int, months: int) -> int:
    first = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return int(first.replace(year=year, month=month + 1, day=min(first.day, last_day)).timestamp())
