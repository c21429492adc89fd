"""What holds for every template and stylesheet: the strict policy, the sprites, the weight."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

from core.templatetags.ui import GLYPHS, MESSAGE_ICONS

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
# The back office has a looser policy of its own, and mail programs read nothing but inline styles.
PAGES = [path for path in TEMPLATES if not {"admin", "email"} & set(path.parts)]
STATIC = ROOT / "static"
FORBIDDEN = {
    "an inline style": r"\sstyle\s*=|<style",
    "an inline script": r"<script(?![^>]*\ssrc=)",
    "an event attribute": r"\s(on[a-z]+|hx-on[:a-z-]*)\s*=",
    "something from elsewhere": r"(src|href)\s*=\s*[\"'](https?:)?//",
}


def symbols(sprite: str) -> set[str]:
    return set(re.findall(r'<symbol id="([^"]+)"', (STATIC / sprite).read_text()))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_template_compiles(path: Path) -> None:
    get_template(str(path.relative_to(ROOT / "templates")))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_template_needs_a_looser_policy(what: str) -> None:
    offenders = [path.name for path in PAGES if re.search(FORBIDDEN[what], path.read_text())]
    assert offenders == []


def test_every_icon_that_is_asked_for_is_drawn() -> None:
    text = "".join(path.read_text() for path in TEMPLATES)
    asked = set(re.findall(r"{% icon \"([a-z]+)\"", text)) | set(re.findall(r"icon_name=\"([a-z]+)\"", text))
    handed_on = set(re.findall(r"include \"ui/(?:sidebar_link|empty)\.html\"[^%]* name=\"([a-z]+)\"", text))
    assert len(asked) > 10
    assert len(handed_on) > 5
    assert asked | handed_on | set(MESSAGE_ICONS.values()) | {"info"} <= symbols("icons.svg")


def test_every_glyph_that_a_slug_leads_to_is_drawn() -> None:
    assert {drawing for _word, drawing in GLYPHS} | {"game"} == symbols("glyphs.svg")


def test_the_stylesheets_stay_small() -> None:
    shop = [path for path in (STATIC / "css").glob("*.css") if path.name != "staff.css"]
    assert sum(path.stat().st_size for path in shop) < 38_500  # tests/pages/test_weight.py weighs whole pages


def test_the_page_for_our_own_faults_needs_nothing() -> None:
    assert "Something went wrong on our side" in get_template("500.html").render()
