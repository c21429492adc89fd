"""The stylesheet of the shop's pages: its files in one answer, with the brand colour that staff set."""

import hashlib
import re
from functools import cache
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from core import tenancy

FILES: Final = ("tokens", "base", "components")
HOME: Final = "home"  # only the home page needs it, and asks for it: "home=1"
YEAR_SECONDS = 31_536_000
SHORT_SECONDS = 60
DEFAULT_HUE = 264
MAX_HUE = 360


@cache
def shop_css(*more: str) -> str:
    """The shop's style files and `more`, joined: one request. Comments and blanks around signs stay here."""
    files = [(settings.BASE_DIR / "static" / "css" / f"{name}.css").read_text() for name in (*FILES, *more)]
    rules = re.sub(r"/\*.*?\*/", "", "\n".join(files), flags=re.DOTALL)
    return re.sub(r"\s*([{};,])\s*", r"\1", rules).replace(": ", ":").replace(";}", "}").strip()


@cache
def stylesheet_version() -> str:
    """A name for the present content of the stylesheet."""
    return hashlib.sha256(shop_css(HOME).encode()).hexdigest()[:12]


@tenancy.non_atomic_view
@require_safe
def stylesheet(request: HttpRequest) -> HttpResponse:
    """The styles with the brand's hue, which the address names, so that this page needs no database.

    The strict content security policy allows no inline style. Cached for long under its present version only.
    """
    named = request.GET.get("hue", "")
    hue = int(named) if len(named) <= 3 and named.isascii() and named.isdecimal() else DEFAULT_HUE
    rules = shop_css(HOME) if request.GET.get(HOME) == "1" else shop_css()
    css = f"{rules}\n:root{{--brand-h:{min(hue, MAX_HUE)}}}\n"
    response = HttpResponse(css, content_type="text/css; charset=utf-8")
    if request.GET.get("v") == stylesheet_version():
        patch_cache_control(response, public=True, max_age=YEAR_SECONDS, immutable=True)
    else:
        patch_cache_control(response, public=True, max_age=SHORT_SECONDS)
    return response
