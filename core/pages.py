"""Rendering a page, or only the part of it that htmx asked for; lists by pages; pages the same for every visitor."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.core.paginator import Page, Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from core.compiled import Builder, compiled


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


def paged[Row](build: Builder[Row], per_page: int) -> Callable[..., Page[Row]]:
    """A function of a page's number, as the browser sent it, and of `build`'s arguments: that page of the queryset.

    A first page that is not full is one query, any other two.
    """
    rows = compiled(lambda start, *arguments: build(*arguments)[start : start + per_page])
    counted = models.Window(models.Count("*"))
    count = compiled(
        lambda *arguments: build(*arguments).order_by().annotate(count=counted).values_list("count", flat=True)[:1]
    )

    def page(number: str | None, *arguments: Any) -> Page[Row]:
        first = rows(0, *arguments) if number is None else []
        if 0 < len(first) < per_page:
            return Paginator(first, per_page).page(1)
        found: Page[Any] = Paginator(range(sum(count(*arguments))), per_page).get_page(number)
        found.object_list = first or rows((found.number - 1) * per_page, *arguments)
        return found

    return page


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
