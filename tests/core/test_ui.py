"""The parts pages are made of say what they should, to readers and to screen readers alike."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone, translation

from core import formats
from core.models import StatusChoices, Tone
from core.money import Money
from core.templatetags import ui

FACTORY = RequestFactory()


def rendered(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


@pytest.mark.parametrize(
    ("mib", "text"),
    [
        (0, "0 GB"),
        (512, "512 MB"),
        (1023, "1,023 MB"),
        (1024, "1 GB"),
        (1536, "1.5 GB"),
        (20480, "20 GB"),
        (2097152, "2 TB"),
    ],
)
def test_a_size_is_written_in_the_unit_that_reads_best(mib: int, text: str) -> None:
    assert formats.size(mib) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (Decimal("0.42"), "0.4 s"),
        (0, "0 s"),
        (12, "12 s"),
        (timedelta(minutes=3, seconds=5), "3 min 5 s"),
        (timedelta(days=1, hours=2, minutes=9), "1 d 2 h"),
        (86_400, "1 d"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(length: timedelta | Decimal | int, text: str) -> None:
    assert formats.duration(length) == text


def test_an_instant_is_shown_in_the_readers_zone_and_language() -> None:
    at = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    with timezone.override("Europe/Berlin"), translation.override("de"):
        assert formats.instant(at) == "22.11.2026, 00:30 CET"
        assert formats.day(at) == "22. November 2026"


def test_an_instant_names_its_zone_and_is_of_the_device_only_where_no_zone_is_set() -> None:
    at = datetime(2026, 11, 21, 12, 43, tzinfo=UTC)

    unset = rendered("{{ at|instant }}", at=at)
    with timezone.override("Europe/Berlin"):
        berlin = rendered("{{ at|instant }}", at=at)
    with timezone.override("Asia/Dubai"):
        dubai = rendered("{{ at|instant_text }}", at=at)

    assert unset.endswith(" data-of-device>Nov 21, 2026, 12:43\u202fPM UTC</time>")
    assert berlin.endswith('">Nov 21, 2026, 1:43\u202fPM CET</time>')
    assert dubai == "Nov 21, 2026, 4:43\u202fPM UTC+04"


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(seconds=-1), ""),
        (timedelta(seconds=30), "less than a minute left"),
        (timedelta(minutes=1, seconds=59), "1 minute left"),
        (timedelta(minutes=44), "44 minutes left"),
        (timedelta(hours=2, minutes=50), "2 hours left"),
        (timedelta(hours=49), "2 days left"),
    ],
)
def test_the_time_left_is_in_its_largest_unit(left: timedelta, text: str) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    assert formats.time_left(at + left, at=at) == text


def test_money_comes_as_money_or_as_minor_units_and_nothing_is_a_dash() -> None:
    assert rendered("{% money price %}", price=Money(1250, "USD")) == "$12.50"
    assert rendered("{% money minor 'JPY' %}", minor=1250) == "¥1,250"
    assert rendered("{% money price %}", price=None) == "–"


@pytest.mark.parametrize("tone", [Tone.SUCCESS, Tone.INFO, Tone.WARNING, Tone.DANGER])
def test_a_status_has_the_tone_that_it_declares(tone: Tone) -> None:
    statuses: Any = StatusChoices("Statuses", {"SOME": ("some", tone, "Läuft")})  # type: ignore[arg-type]

    assert rendered("{% status state %}", state=statuses.SOME) == f'<span class="pill {tone}">Läuft</span>'


def test_an_unknown_status_is_neutral_and_its_text_escaped() -> None:
    assert rendered("{% status '<odd_one>' %}") == '<span class="pill">&lt;odd one&gt;</span>'


def test_an_icon_is_decoration_until_it_gets_a_label() -> None:
    assert 'aria-hidden="true"' in rendered("{% icon 'check' %}")
    labelled = rendered("{% icon 'check' label %}", label='Do"ne')
    assert 'role="img"' in labelled
    assert 'aria-label="Do&quot;ne"' in labelled


def test_a_meter_never_claims_more_than_its_limit_and_says_nothing_without_one() -> None:
    full = rendered("{% meter 'CPU' 250 200 '250 of 200 %' %}")
    assert 'value="200"' in full
    assert "250 of 200 %" in full
    assert "<meter" not in rendered("{% meter 'CPU' 250 None 'no limit' %}")


def test_a_spark_is_drawn_against_its_ceiling_from_two_samples_on() -> None:
    assert 'd="M0.0 30.0 50.0 16.0 100.0 2.0"' in rendered("{% sparkline samples 200 %}", samples=[0, 100, 400])
    assert rendered("{% sparkline samples %}", samples=[1]).strip() == ""


class PlaceForm(forms.Form):
    name = forms.CharField(help_text="Letters only.")
    note = forms.CharField(required=False)
    agreed = forms.BooleanField(label="I agree")


def test_a_fields_help_and_error_stand_beside_it_and_are_announced_with_it() -> None:
    html = rendered("{% field form.name %}", form=PlaceForm({"name": ""}))
    assert 'for="id_name"' in html
    assert 'aria-describedby="id_name_helptext id_name_error"' in html
    assert 'id="id_name_helptext"' in html
    assert 'id="id_name_error"' in html


def test_a_box_comes_before_its_label_and_an_optional_field_says_so() -> None:
    box = rendered("{% field form.agreed %}", form=PlaceForm())
    assert box.index("<input") < box.index("<label")
    assert "optional" in rendered("{% field form.note %}", form=PlaceForm())
    assert "optional" not in rendered("{% field form.name %}", form=PlaceForm())


def test_breadcrumbs_end_in_the_page_itself() -> None:
    html = rendered("{% breadcrumbs 'Servers' '/servers/' 'lantern' %}")
    assert '<a href="/servers/">Servers</a>' in html
    assert '<li aria-current="page">lantern</li>' in html


@pytest.mark.parametrize(
    ("address", "at"), [("/servers/", "page"), ("/servers", "true"), ("/", "false"), ("/shop/", "false")]
)
def test_the_menu_knows_where_the_reader_is(address: str, at: str) -> None:
    context = Context({"request": FACTORY.get("/servers/")})
    assert ui.current(context, address) == at


@pytest.mark.parametrize(("cookie", "theme"), [("dark", "dark"), ("light", "light"), ('"><script>', ""), ("", "")])
def test_only_known_themes_are_worn(cookie: str, theme: str) -> None:
    request = FACTORY.get("/")
    request.COOKIES["theme"] = cookie
    assert ui.chosen_theme(Context({"request": request})) == theme


def test_a_kept_part_is_rendered_once_for_each_set_of_its_values() -> None:
    template = Template(
        "{% load kept %}{% kept permitted path|without_ids %}{{ rendered }}{% endkept %} {{ rendered }}"
    )
    page = "/servers/01930000-0000-7000-8000-00000000000{}/"

    def render(rendered: str, *permitted: str, row: int = 1) -> str:
        return template.render(
            Context({"permitted": frozenset(permitted), "path": page.format(row), "rendered": rendered})
        )

    assert render("first", "invoice.view") == "first first"
    assert render("second", "invoice.view", row=2) == "first second"
    assert render("third") == "third third"
    with translation.override("de"):
        assert render("fourth") == "fourth fourth"
