"""The five fields of a cron line: checked, and the common ones in words."""

import re

from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")


def is_valid(line: str) -> bool:
    """Whether the line has five fields, each with numbers in its range, such as `*/5 4 1-7 * 1,3`."""
    fields = line.split()
    return len(fields) == len(RANGES) and all(map(_is_field, fields, RANGES))


def _is_field(text: str, limits: tuple[int, int]) -> bool:
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            return False
        numbers = [int(each) for each in found.groups()[:2] if each is not None]
        if any(not limits[0] <= number <= limits[1] for number in numbers) or numbers != sorted(numbers):
            return False
        if found[3] is not None and int(found[3]) == 0:
            return False
    return True


def in_words(line: str) -> str:
    """When that is, for what the page's simple choices make; any other line as it is."""
    minute, hour, day, month, weekday = line.split()
    if not minute.isdecimal() or (day, month) != ("*", "*"):
        return line
    if (hour, weekday) == ("*", "*"):
        return _("Every hour at minute %(minute)s") % {"minute": int(minute)}
    if not hour.isdecimal():
        return line
    time = f"{int(hour):02}:{int(minute):02}"
    if weekday == "*":
        return _("Every day at %(time)s UTC") % {"time": time}
    if weekday.isdecimal():
        name = WEEKDAYS[(int(weekday) - 1) % 7]  # a week of cron begins with Sunday, one of Django with Monday
        return _("Every %(weekday)s at %(time)s UTC") % {"weekday": name, "time": time}
    return line
