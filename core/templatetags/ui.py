"""Template tags: icons, formatted values, status pills, meters, sparklines, form fields, breadcrumbs."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from django import template
from django.forms import BoundField
from django.template import Context
from django.templatetags.static import static
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from core import formats
from core.models import Tone
from core.money import Money, Rate

register = template.Library()

EXAMPLE_ID = UUID("00000000-0000-7000-8000-000000000000")
MESSAGE_TONES = {"success": "success", "warning": "warning", "error": "danger"}
MESSAGE_ICONS = {"success": "check", "warning": "alert", "danger": "alert"}
APPEARANCES = (("auto", _("Follow the device")), ("light", _("Light")), ("dark", _("Dark")))

GLYPHS: tuple[tuple[str, str], ...] = (
    ("minecraft", "minecraft"),
    ("minetest", "minecraft"),
    ("terraria", "terraria"),
    ("starbound", "terraria"),
    ("valheim", "valheim"),
    ("enshrouded", "valheim"),
    ("rust", "rust"),
    ("factorio", "factorio"),
    ("palworld", "palworld"),
    ("hytale", "hytale"),
    ("counter", "shooter"),
    ("cs2", "shooter"),
    ("arma", "shooter"),
    ("squad", "shooter"),
    ("ark", "ark"),
    ("zomboid", "zomboid"),
    ("7-days", "zomboid"),
    ("satisfactory", "factory"),
    ("vintage-story", "windmill"),
    ("mindustry", "conveyor"),
    ("rimworld", "planet"),
    ("among-us", "rocket"),
    ("teeworlds", "hook"),
    ("vps", "vps"),
    ("container", "container"),
    ("docker", "container"),
)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One symbol of icons.svg; decoration unless it gets a `label`."""
    return _symbol("icons.svg", name, "icon", str(label))


@register.simple_tag
def row_url(name: str, pk: UUID) -> str:
    """As `{% url name pk=pk %}`, for the rows of a list: Django looks the pattern up only once."""
    return _row_url(name, get_urlconf(), get_script_prefix()).replace(str(EXAMPLE_ID), str(pk))


@lru_cache
def _row_url(name: str, urlconf: str | None, _script_prefix: str) -> str:
    return reverse(name, urlconf, kwargs={"pk": EXAMPLE_ID})


@register.simple_tag
def world_map(latitude: Decimal | None, longitude: Decimal | None) -> SafeString:
    """A small map of the world with a dot, as decoration; nothing where the place is not known."""
    if latitude is None or longitude is None:
        return SafeString("")
    dot = format_html('<circle cx="{}" cy="{}" r="9"/>', round(180 + longitude), round(90 - latitude))
    world = f"{static('icons.svg')}#world"
    svg = '<svg class="world" viewBox="0 0 360 150" aria-hidden="true"><use href="{}"/>{}</svg>'
    return format_html(svg, world, dot)


@register.simple_tag
def glyph(slug: str, kind: str = "game") -> SafeString:
    """The drawing for a product: by its slug, else by its kind (game, vps, container)."""
    fallback = kind if kind in {"vps", "container"} else "game"
    name = next((drawing for word, drawing in GLYPHS if word in slug), fallback)
    return _symbol("glyphs.svg", name, "glyph", "")


@lru_cache(maxsize=512)
def _symbol(sprite: str, name: str, css_class: str, label: str) -> SafeString:
    reference = f"{static(sprite)}#{name}"
    if not label:
        return format_html('<svg class="{}" aria-hidden="true"><use href="{}"/></svg>', css_class, reference)
    svg = '<svg class="{}" role="img" aria-label="{}"><use href="{}"/></svg>'
    return format_html(svg, css_class, label, reference)


@register.simple_tag
def money(amount: Money | Rate | int | None, currency: str = "") -> str:
    """A Money or Rate, or minor units with their currency, as the language writes it; a dash for None.

    A negative one has the minus sign that templates write before an amount that is taken off.
    """
    if amount is None:
        return "–"
    return str(Money(amount, currency) if isinstance(amount, int) else amount).replace("-", "−")


@register.simple_tag
def pill(text: str, tone: str = "") -> SafeString:
    """A short label with a dot; tone is success, info, warning, danger or nothing."""
    return format_html('<span class="{}">{}</span>', f"pill {tone}".strip(), text)


@register.simple_tag
def status(state: str, text: str = "") -> SafeString:
    """The pill of a status, in the tone that its StatusChoices declare; it says `text`, or the status's label."""
    tone = getattr(state, "tone", Tone.NEUTRAL)
    label = text or getattr(state, "label", "") or str(state).replace("_", " ").capitalize()
    return pill(label, "" if tone == Tone.NEUTRAL else tone)


@register.filter
def size(value: int | None) -> str:
    """A size in MiB as "4 GB"; a dash for None."""
    return "–" if value is None else formats.size(value)


@register.filter
def percent(value: Decimal) -> str:
    """A rate in percent as "21%"."""
    return formats.percent(value)


@register.filter
def quantity(value: Decimal) -> str:
    """A quantity with the decimals that it has."""
    return formats.number(value, places=10)


@register.filter
def cores(percent: int) -> str:
    """CPU given in percent of one core, in cores: "2 cores", "1.5 cores"."""
    count = formats.number(Decimal(percent) / 100, places=1)
    return ngettext("%(count)s core", "%(count)s cores", 1 if percent == 100 else 2) % {"count": count}


@register.filter
def duration(value: timedelta | Decimal | float | None) -> str:
    """Seconds or a timedelta, readable; nothing for None."""
    return "" if value is None else formats.duration(value)


@register.filter
def instant(value: datetime | None) -> SafeString | str:
    """A moment as a <time> in the reader's zone, which it names; a dash for None.

    Who has set no zone of their own reads UTC, and where scripts run the zone of their device (static/js/app.js).
    """
    if value is None:
        return "–"
    is_of_device = get_current_timezone_name() == "UTC"
    mark = mark_safe(" data-of-device") if is_of_device else ""
    return format_html('<time datetime="{}"{}>{}</time>', value.isoformat(), mark, formats.instant(value))


@register.filter
def instant_text(value: datetime) -> str:
    """A moment as plain text with its zone, for e-mails."""
    return formats.instant(value)


@register.filter
def time_left(value: datetime, at: datetime) -> str:
    """How long it is from `at` until a deadline: "44 minutes left"; nothing once it passed."""
    return formats.time_left(value, at=at)


@register.filter
def period_until(start: datetime, end: datetime) -> str:
    """The days of a period: "December 1 – 31, 2026"."""
    return formats.period(start, end)


@register.filter
def country(code: str) -> str:
    """A country's name in the page's language."""
    return formats.country(code)


@register.filter
def day(value: date | None) -> SafeString | str:
    """A day as a <time>; a dash for None."""
    if value is None:
        return "–"
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), formats.day(value))


@register.inclusion_tag("ui/meter.html")
def meter(label: str, value: Decimal | float | None, limit: Decimal | float | None, text: str = "") -> dict[str, Any]:
    """How much of a limit is used; `text` says it in words. Without a limit only the words show."""
    if value is None or not limit:
        return {"label": label, "text": text, "is_measured": False}
    shown = {"value": min(value, limit), "limit": limit, "low": int(limit * 80 // 100), "high": int(limit * 95 // 100)}
    return {"label": label, "text": text, "is_measured": True, **shown}


@register.inclusion_tag("ui/sparkline.html")
def sparkline(samples: Sequence[float], ceiling: float = 100, label: str = "") -> dict[str, Any]:
    """A small line of recent values, oldest first, drawn against `ceiling`; nothing for fewer than two."""
    if len(samples) < 2:
        return {"line": "", "label": label}
    step = 100 / (len(samples) - 1)
    heights = (30 - 28 * min(max(value / ceiling, 0), 1) for value in samples)
    line = " ".join(f"{index * step:.1f} {height:.1f}" for index, height in enumerate(heights))
    return {"line": line, "label": label}


@register.inclusion_tag("ui/chart.html")
def chart(label: str, points: Sequence[Decimal | None], ceiling: float, text: str = "") -> dict[str, Any]:
    """A line of values over time, oldest first, drawn against `ceiling`; a gap where a value is None.

    `text` says the line in words, for those who do not see it.
    """
    step, parts, is_drawing = 300 / max(1, len(points) - 1), list[str](), False
    for index, point in enumerate(points):
        if point is not None:
            height = 60 - 58 * min(max(float(point) / (ceiling or 1), 0), 1)
            place = f"{index * step:.0f} {height:.1f}"
            # A value between two gaps is drawn as a dot: a line of no length with round ends.
            parts.append(f"L{place}" if is_drawing else f"M{place}h0")
        is_drawing = point is not None
    return {"label": label, "path": "".join(parts), "text": text}


@register.inclusion_tag("ui/field.html")
def field(bound: BoundField, label: str = "") -> dict[str, Any]:
    """A form field with its label, help and error beside it; checkboxes put the label after the box."""
    kind = getattr(bound.field.widget, "input_type", "")
    is_group = bound.field.widget.use_fieldset
    return {
        "field": bound,
        "label": label or bound.label,
        "is_group": is_group,
        "is_check": kind == "checkbox" and not is_group,
    }


@register.inclusion_tag("ui/breadcrumbs.html")
def breadcrumbs(*pairs: str) -> dict[str, Any]:
    """Labels and addresses by turns; the last label alone is this page."""
    steps = list(zip(pairs[0::2], pairs[1::2], strict=False))
    return {"steps": steps, "here": pairs[-1] if len(pairs) % 2 else ""}


@register.simple_tag(takes_context=True)
def current(context: Context, address: str) -> str:
    """`page` where the address is this page, `true` where this page is below it: for aria-current."""
    path = getattr(context.get("request"), "path", "")
    if address == path:
        return "page"
    return "true" if address != "/" and path.startswith(address) else "false"


@register.filter
def tone_of_message(tags: str) -> str:
    """The tone of a flash message from its level tag."""
    return next((tone for level, tone in MESSAGE_TONES.items() if level in tags), "")


@register.filter
def icon_of_tone(tone: str) -> str:
    """The icon that goes with a tone."""
    return MESSAGE_ICONS.get(tone, "info")


@register.inclusion_tag("ui/themes.html", takes_context=True)
def themes(context: Context) -> dict[str, Any]:
    """The switch between light, dark and the device's choice; shown only where scripts run."""
    return {"choices": APPEARANCES, "chosen": chosen_theme(context) or "auto"}


@register.simple_tag(takes_context=True)
def chosen_theme(context: Context) -> str:
    """`light` or `dark` as the reader chose (cookie `theme`), or nothing."""
    cookies = getattr(context.get("request"), "COOKIES", {})
    theme = cookies.get("theme", "")
    return theme if theme in {"light", "dark"} else ""
