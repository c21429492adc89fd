"""Rendering a page, or only the part of it that htmx asked for; pages that are the same for every visitor."""

from collections.abc import Callable, Mapping
from functools import wraps
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


def public_page(*parameters: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Mark a view's pages for nodebyte/public_pages.py, which keeps what visitors get.

    For somebody who is not signed in, the page depends on nothing but its path, these parameters of its address, the
    language, the chosen theme and the chosen currency. It has no form that is posted and no message.
    """

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def marked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            response = view(request, *args, **kwargs)
            response.is_public_page = request.GET.keys() <= set(parameters)  # type: ignore[attr-defined]
            return response

        return marked

    return decorate
