"""A readable name for a device from its user agent, so that its owner recognizes it."""

from collections.abc import Sequence

from django import template
from django.utils.translation import gettext as _

register = template.Library()

# The order matters: many browsers also name their ancestors, and phones the desktop systems.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


@register.filter
def device(user_agent: str) -> str:
    """ "Firefox on Android", as far as the header says; the start of the header for an unknown browser."""
    browser, system = _first_match(BROWSERS, user_agent), _first_match(SYSTEMS, user_agent)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or user_agent[:40] or _("An unknown browser")


def _first_match(patterns: Sequence[tuple[str, str]], text: str) -> str:
    return next((name for pattern, name in patterns if pattern in text), "")
