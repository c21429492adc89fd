"""What a report for staff is: one query over a time, whose rows are shown as a table and sent as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection
from django.utils.functional import Promise


class CellType(StrEnum):
    """MONEY is whole minor units of the row's `currency`; PERCENT a number such as 12.5; DAY and MONTH are dates."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True)
class Column:
    """A column of the report, named as in its query."""

    name: str
    label: str | Promise
    type: CellType = CellType.TEXT


@dataclass(frozen=True)
class Report:
    """A report. Its query may use %(since)s and %(until)s: from the first up to but not including the second.

    `chart` names the money column that is drawn, one bar for each row of the first currency.
    """

    code: str
    title: str | Promise
    description: str | Promise
    query: str
    columns: Sequence[Column]
    months: int = 1  # how many whole months before this one it begins with, unless staff choose
    chart: str = ""


def rows_of(report: Report, *, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """What the report says of the time from `since` up to `until`."""
    with connection.cursor() as cursor:
        cursor.execute(report.query, {"since": since, "until": until})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
