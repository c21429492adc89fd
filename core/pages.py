"""Rendering a page, or only the part of it that htmx asked for."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def render_part(
    request: HttpRequest, template: str, part: str, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """The template's partial `part` for an htmx request, the whole page otherwise; caches tell them apart by `Vary`.

    Needs HtmxMiddleware. A history restore asks for the whole page even though htmx sends it.
    """
    htmx = getattr(request, "htmx", None)
    name = f"{template}#{part}" if htmx and not htmx.history_restore_request else template
    response = render(request, name, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
