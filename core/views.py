"""The stylesheet with the brand colour: the strict CSP allows no inline style."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from core import site_settings

YEAR_SECONDS = 31_536_000
SHORT_SECONDS = 60


@require_safe
def brand_css(request: HttpRequest) -> HttpResponse:
    """The brand's hue as CSS; cached for long under its current version, briefly under any other URL."""
    hue = site_settings.get("shop.brand_hue")
    response = HttpResponse(f":root{{--brand-h:{hue}}}\n", content_type="text/css; charset=utf-8")
    if request.GET.get("v") == str(hue):
        patch_cache_control(response, public=True, max_age=YEAR_SECONDS, immutable=True)
    else:
        patch_cache_control(response, public=True, max_age=SHORT_SECONDS)
    return response
