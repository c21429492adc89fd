"""The billing calendar: what the runs of a day would do, as a page of the admin and as CSV."""

from datetime import UTC, timedelta
from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.runs import calendar
from core import clock, csv_files
from nodebyte.reports import DayInput

PERMISSION = "billing.view_run"
SHOWN = 300  # rows on the page; the CSV has all
MAX_DAYS = 366
PATIENCE = timedelta(seconds=20)  # of the page, which keeps a database session; the CSV takes as long as it needs
LABELS = {
    "invoice": gettext_lazy("Invoice"),
    "paid": gettext_lazy("Paid from the wallet"),
    "charge": gettext_lazy("Charge"),
    "top-up": gettext_lazy("Automatic top-up"),
    "usage": gettext_lazy("Hours of use"),
    "low wallet": gettext_lazy("Wallet low"),
    "resumption": gettext_lazy("Resumption"),
    "void": gettext_lazy("Invoice voided"),
    "expired credit": gettext_lazy("Promotional credit expires"),
    "reminder": gettext_lazy("Reminder"),
    "overdue reminder": gettext_lazy("Overdue reminder"),
    "pause": gettext_lazy("Pause begins"),
    "end of pause": gettext_lazy("Pause ends"),
    "suspension": gettext_lazy("Suspension"),
    "end": gettext_lazy("End, not paid"),
    "deletion": gettext_lazy("Deletion"),
    calendar.BUSY: gettext_lazy("Being paid or changed at this moment: look again"),
}


class DayForm(forms.Form):
    """A day, in UTC."""

    day = forms.DateField(label=gettext_lazy("Day"), widget=DayInput)

    def clean_day(self) -> Any:
        """Refuse days that nobody can know yet."""
        day = self.cleaned_data["day"]
        today = clock.now().astimezone(UTC).date()
        if not today <= day <= today + timedelta(days=MAX_DAYS):
            raise forms.ValidationError(_("Choose a day from today on, at most a year ahead."))
        return day


def page(request: HttpRequest, extension: str = "") -> HttpResponseBase:
    """What the day of the address, else tomorrow, would bring if nobody paid by hand or canceled before."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    at = clock.now()
    tomorrow = at.astimezone(UTC).date() + timedelta(days=1)
    form = DayForm(request.GET if "day" in request.GET else {"day": tomorrow.isoformat()})
    rows: list[calendar.Entry] = []
    is_too_long = False
    if form.is_valid():
        day = form.cleaned_data["day"]
        if extension:
            cells = (entry.cells for entry in calendar.entries_of_day(day, at=at))
            return csv_files.csv_response(f"billing-{day}", calendar.COLUMNS, cells)
        entries = calendar.entries_of_day(day, at=at, is_over=lambda: clock.now() > at + PATIENCE)
        try:
            for entry in islice(entries, SHOWN + 1):
                rows.append(entry)  # noqa: PERF402 - what came before it was given up is shown
        except calendar.TooLong:
            is_too_long = True
    context = {
        **admin.site.each_context(request),
        "title": _("Billing calendar"),
        "form": form,
        "rows": [(LABELS[row.what], row) for row in rows[:SHOWN]],
        "has_more": len(rows) > SHOWN,
        "is_too_long": is_too_long,
        "query": request.GET.urlencode(),
    }
    return TemplateResponse(request, "admin/billing_calendar.html", context, status=200 if form.is_valid() else 400)
