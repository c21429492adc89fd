"""Times in the zone that a user has set."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone


class TimeZoneMiddleware:
    """Makes the signed-in user's time zone the active one. Visitors have UTC, which pages name."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with times in the user's zone."""
        with timezone.override(zone_named(getattr(request.user, "timezone", ""))):
            return self.get_response(request)


def zone_named(name: str) -> zoneinfo.ZoneInfo:
    """The zone of this name; UTC where the system knows none by it."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")
