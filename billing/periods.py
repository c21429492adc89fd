"""Calendar arithmetic of subscriptions: whole months from a fixed day, in UTC."""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.models import Term


@dataclass(frozen=True)
class Period:
    """The time that one charge pays for: from `start` up to but not including `end`."""

    start: datetime
    end: datetime


def next_period_end(start: datetime, term: Term | str, anchor_day: int) -> datetime:
    """When the period that begins at `start` ends.

    Months keep the day of the purchase: from 31 January to 28 or 29 February, then 31 March.
    """
    months = Term(term).months
    if not months:
        return start + timedelta(hours=1)
    count = start.year * 12 + start.month - 1 + months
    year, month = count // 12, count % 12 + 1
    day = min(anchor_day, calendar.monthrange(year, month)[1])
    return start.replace(year=year, month=month, day=day)
