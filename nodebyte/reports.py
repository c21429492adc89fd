"""Pages of the admin with reports: a table over a time that staff choose, and the same as CSV."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.reports import REPORTS, CellType, Column, Report, rows_of
from core import clock, csv_files, formats
from core.money import Money

PERMISSION = "billing.view_posting"
MAX_DAYS = 10 * 366
SHOWN = 300  # rows on the page; the CSV has all


class DayInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    """A day, chosen by the browser's own means."""

    input_type = "date"


class TimeForm(forms.Form):
    """The days that a report is about, both included, in UTC."""

    first = forms.DateField(label=gettext_lazy("From"), widget=DayInput)
    last = forms.DateField(label=gettext_lazy("To"), widget=DayInput)

    def clean(self) -> dict[str, Any]:
        """Refuse a time that ends before it begins, or is longer than ten years."""
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and last < first:
            self.add_error("last", _("This is before the first day."))
        elif first and last and (last - first).days > MAX_DAYS:
            self.add_error("last", _("Choose at most ten years."))
        return self.cleaned_data


def index(request: HttpRequest) -> HttpResponse:
    """The list of reports."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    context = {**admin.site.each_context(request), "title": _("Reports"), "reports": REPORTS}
    return TemplateResponse(request, "admin/reports.html", context)


def detail(request: HttpRequest, code: str, extension: str = "") -> HttpResponseBase:
    """One report as a page, or as CSV; without days in the address, those that the report begins with."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    report = next((each for each in REPORTS if each.code == code), None)
    if report is None:
        raise Http404
    today = clock.now().astimezone(UTC).date()
    months = today.year * 12 + today.month - 1 - report.months
    initial = {"first": date(months // 12, months % 12 + 1, 1).isoformat(), "last": today.isoformat()}
    form = TimeForm(request.GET if "first" in request.GET else initial)
    rows: list[dict[str, Any]] = []
    if form.is_valid():
        since, until = (
            datetime.combine(day, time(), UTC)
            for day in (form.cleaned_data["first"], form.cleaned_data["last"] + timedelta(days=1))
        )
        rows = rows_of(report, since=since, until=until)
        if extension:
            name = f"{report.code}-{form.cleaned_data['first']}-{form.cleaned_data['last']}"
            lines = ([csv_value(column, row) for column in report.columns] for row in rows)
            return csv_files.csv_response(name, [column.name for column in report.columns], lines)
    context = {
        **admin.site.each_context(request),
        "title": report.title,
        "report": report,
        "form": form,
        "columns": [{"label": column.label, "is_number": is_a_number(column)} for column in report.columns],
        "rows": [[shown_value(column, row) for column in report.columns] for row in rows[:SHOWN]],
        "row_count": len(rows),
        "bars": chart_of(report, rows),
        "query": request.GET.urlencode(),
    }
    return TemplateResponse(request, "admin/report.html", context, status=200 if form.is_valid() else 400)


def is_a_number(column: Column) -> bool:
    """Whether its cells and its heading stand at the end, digit below digit."""
    return column.type not in {CellType.TEXT, CellType.DAY, CellType.MONTH}


def shown_value(column: Column, row: dict[str, Any]) -> dict[str, Any]:
    """A cell of the table: its text, and whether it is a number."""
    value, is_number = row[column.name], is_a_number(column)
    if value is None:
        return {"text": "–", "is_number": is_number}
    match column.type:
        case CellType.MONEY:
            text = str(Money(value, row["currency"]))
        case CellType.PERCENT:
            text = formats.percent(value)
        case CellType.NUMBER:
            text = formats.number(value, places=1)
        case CellType.DAY:
            text = formats.day(value)
        case CellType.MONTH:
            text = formats.month(value)
        case _:
            text = str(value)
    return {"text": text, "is_number": is_number}


def money_of(report: Report, row: dict[str, Any]) -> dict[str, Any]:
    """The row with its amounts as money."""
    minor = {column.name for column in report.columns if column.type is CellType.MONEY}
    return {
        name: Money(value, row["currency"]) if name in minor and value is not None else value
        for name, value in row.items()
    }


def csv_value(column: Column, row: dict[str, Any]) -> Any:
    """A cell of the CSV: money as a decimal number of its currency."""
    value = row[column.name]
    return Money(value, row["currency"]).amount if column.type is CellType.MONEY and value is not None else value


def chart_of(report: Report, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bars of the report's chart: those of its first currency, and nothing for a day or month without a row."""
    if not report.chart or not rows:
        return []
    column, currency = report.columns[0], rows[0]["currency"]
    found = {row[column.name]: row[report.chart] for row in rows if row["currency"] == currency}
    first = min(found)
    days = (first + timedelta(days=each) for each in range((max(found) - first).days))
    drawn = sorted({*found, *(day for day in days if column.type is CellType.DAY or day.day == 1)})
    labels = [shown_value(column, {column.name: each})["text"] for each in drawn]
    return bars_of(labels, [Money(found.get(each) or 0, currency) for each in drawn])


def bars_of(labels: Sequence[str], amounts: Sequence[Money]) -> list[dict[str, Any]]:
    """The bars of a drawing of 1000 × 300, each with its label and what it says; none where nothing is above zero."""
    highest, count = max((amount.minor for amount in amounts), default=0), len(amounts)
    if highest <= 0 or count < 2:
        return []
    bars = []
    for number, (label, amount) in enumerate(zip(labels, amounts, strict=True)):
        height, left = max(0, amount.minor) * 300 // highest, number * 1000 // count
        width = (number + 1) * 1000 // count - left - 2
        drawn = {"x": left, "y": 300 - height, "width": width, "height": height}
        bars.append(drawn | {"label": label, "text": f"{label}: {amount}"})
    return bars
