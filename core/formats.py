"""Numbers, sizes, durations and instants in the page's language and time zone."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton, format_time, get_datetime_format
from babel.numbers import format_decimal, format_percent
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language, ngettext, to_locale
from django.utils.translation import gettext as _

MINUTE, HOUR, DAY = 60, 3_600, 86_400
# Hosts sell memory and disk in gigabytes of 1,024 MiB: a "4 GB" plan has 4,096 MiB. Every page writes sizes with this
# one unit, so that a plan's name and its numbers agree.
MIB_PER_GB = 1_024
GB_PER_TB = 1_024


def locale() -> str:
    """Babel's name for the active language."""
    return to_locale(get_language() or "en")


def number(value: int | Decimal, *, places: int = 0) -> str:
    """A number with at most `places` decimals, grouped as the language does."""
    return _number(value, "#,##0." + "#" * places if places else "#,##0", locale())


@lru_cache(maxsize=1024)
def _number(value: int | Decimal, pattern: str, locale: str) -> str:
    return format_decimal(value, format=pattern, locale=locale)


def counted(name: str, count: int) -> str:
    """Several of something: "More memory × 3"; the name alone of one."""
    return name if count == 1 else f"{name} × {number(count)}"


def percent(value: Decimal) -> str:
    """A rate given in percent, exact: 7.25 is "7.25%"."""
    return format_percent(value / 100, locale=locale(), decimal_quantization=False)


def size(mib: int) -> str:
    """A size given in MiB, in the largest unit that keeps it above one: "512 MB", "1.5 GB", "2 TB". Zero is "0 GB"."""
    if 0 < mib < MIB_PER_GB:
        return f"{number(mib)} MB"
    gigabytes = Decimal(mib) / MIB_PER_GB
    if gigabytes < GB_PER_TB:
        return f"{number(gigabytes, places=1)} GB"
    return f"{number(gigabytes / GB_PER_TB, places=1)} TB"


def duration(length: timedelta | Decimal | float) -> str:
    """A length of time (timedelta or seconds) in its two largest units: "0.4 s", "12 s", "3 min 5 s", "2 d 4 h"."""
    seconds = Decimal(str(length.total_seconds() if isinstance(length, timedelta) else length))
    if seconds < 10:
        return _("%(count)s s") % {"count": number(seconds, places=1)}
    whole = int(seconds)
    units = (
        (whole // DAY, _("%(count)s d")),
        (whole % DAY // HOUR, _("%(count)s h")),
        (whole % HOUR // MINUTE, _("%(count)s min")),
        (whole % MINUTE, _("%(count)s s")),
    )
    return " ".join([text % {"count": count} for count, text in units if count][:2])


def instant(at: datetime) -> str:
    """An aware instant in the active time zone, to the minute, with the zone's name: "Nov 22, 2026, 1:27 PM CET"."""
    local = at.astimezone(get_current_timezone())
    zone = local.tzname() or ""
    zone = f"UTC{zone}" if zone.startswith(("+", "-")) else zone  # zones without a common name are their offset
    pattern = str(get_datetime_format("medium", locale=locale())).replace("'", "")
    clock = format_time(local, "short", locale=locale())
    return f"{pattern.replace('{1}', format_date(local, 'medium', locale=locale())).replace('{0}', clock)} {zone}"


def time_left(until: datetime, *, at: datetime) -> str:
    """The time from `at` to `until` in its largest unit: "44 minutes left", "2 hours left"; nothing once it passed."""
    minutes = int((until - at).total_seconds() // 60)
    if until <= at:
        return ""
    if minutes < 1:
        return _("less than a minute left")
    if minutes < 60:
        return ngettext("%(count)s minute left", "%(count)s minutes left", minutes) % {"count": number(minutes)}
    hours = minutes // 60
    if hours < 48:
        return ngettext("%(count)s hour left", "%(count)s hours left", hours) % {"count": number(hours)}
    return ngettext("%(count)s day left", "%(count)s days left", hours // 24) % {"count": number(hours // 24)}


def day(on: date) -> str:
    """A calendar day; an aware instant counts as the day it falls on in the active time zone."""
    if isinstance(on, datetime):
        on = on.astimezone(get_current_timezone()).date()
    return _day(on, locale())


@lru_cache(maxsize=1024)
def _day(on: date, locale: str) -> str:
    return format_date(on, "long", locale=locale)


def month(on: date) -> str:
    """The month of a day: "November 2026"."""
    return format_skeleton("yMMMM", on, locale=locale())


def period(start: datetime, end: datetime) -> str:
    """The days from `start` up to but not including the day of `end`: "Dec 1 – 31, 2026"; of hours, the times."""
    first, last = (at.astimezone(get_current_timezone()) for at in (start, end))
    if end - start < timedelta(days=1):
        times = " – ".join(format_time(at, "short", locale=locale()) for at in (first, last))
        return f"{day(first)}, {times} {last.tzname()}"
    last -= timedelta(days=1)
    return str(format_interval(first.date(), last.date(), skeleton="yMMMMd", locale=locale()))


def country(code: str) -> str:
    """A country's name by its code, which is shown where it names none; empty for no code."""
    return str(Locale.parse(locale()).territories.get(code, code))
