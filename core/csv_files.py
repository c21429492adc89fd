"""CSV files that are streamed, and whose cells no spreadsheet program takes for a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """A file of which `csv.writer` gets every line back at once."""

    def write(self, line: str) -> str:
        return line


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180, in UTF-8). Numbers stay numbers; instants are ISO 8601 in UTC."""
    writer = csv.writer(_Line())
    yield "\ufeff" + writer.writerow(header)  # with this mark, Excel reads UTF-8
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def cell(value: Any) -> Any:
    """A value as it is written; text that begins as a formula does begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool | int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else value
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def csv_response(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """The file `name`.csv as a download."""
    response = StreamingHttpResponse(csv_lines(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
