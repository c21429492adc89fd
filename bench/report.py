"""What a bench found, as rows of one table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COLUMNS = ("name", "value", "unit", "ratio", "against")
TEXT_COLUMNS = {0, 2, 4}


@dataclass(frozen=True)
class Row:
    """One figure; `ratio` says how it stands to the limit named in `against`, both measured in this run."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row as the table shows it."""
        ratio = "" if self.ratio is None else f"{shown(self.ratio)}×"
        return (self.name, shown(self.value), self.unit, ratio, self.against)


def shown(value: float) -> str:
    """Three figures are all that a noisy machine can mean."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def slower(name: str, rate: float, unit: str, limit: float, against: str) -> Row:
    """A rate beside the rate that bounds it: 3× means that the bare way does three in the time of one."""
    return Row(name, rate, unit, limit / rate if rate else None, against)


def table(title: str, rows: Iterable[Row]) -> str:
    """The rows under their title, aligned for a terminal and readable as Markdown."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    ruler = tuple("-" * width for width in widths)
    body = [_line(line, widths) for line in (lines[0], ruler, *lines[1:])]
    return "\n".join([f"## {title}", "", *body, ""])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [
        cell.ljust(width) if column in TEXT_COLUMNS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(aligned)} |"
