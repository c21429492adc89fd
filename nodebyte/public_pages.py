"""Public pages for visitors, from the memory of the process: what everybody gets is rendered once, not for each.

A page is rendered again after a second, so that stock and prices shown are never older than MAX_AGE_SECONDS. What a
visitor orders is checked against the database when they order, whatever a page said.
"""

import gzip
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from django.utils.translation import get_language_from_request

from core.money import CODE
from orders.storefront.currencies import COOKIE

FRESH_SECONDS, MAX_AGE_SECONDS = 1.0, 3.0
MAX_PAGES = 512
THEMES = {"light", "dark"}
# Where one of these is sent, the answer may be for this reader alone.
PERSONAL_COOKIES = (settings.SESSION_COOKIE_NAME, "messages")
HEADERS_OF_304 = ("ETag", "Cache-Control", "Vary", "Content-Language")

type Key = tuple[str, str, str, str, str, bool]


@dataclass
class KeptPage:
    """A page as it is sent, and when its rendering began."""

    content: bytes
    headers: dict[str, str]
    rendered_at: float
    is_renewing: bool = field(default=False)

    def response(self, request: HttpRequest) -> HttpResponse:
        """The page, or that the browser has it already."""
        known = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
        if self.headers["ETag"] in known:
            headers = {name: self.headers[name] for name in HEADERS_OF_304 if name in self.headers}
            return HttpResponseNotModified(headers=headers)
        return HttpResponse(self.content, headers=self.headers)


class PublicPagesMiddleware:
    """Answers visitors' requests for pages that are marked by `core.pages.public_page`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.PUBLIC_PAGES_ARE_KEPT:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self.pages: dict[Key, KeptPage] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer from memory where the page is fresh, or old while another thread renders it again."""
        is_visitor = not any(name in request.COOKIES for name in PERSONAL_COOKIES)
        if request.method != "GET" or not is_visitor or "HTTP_HX_REQUEST" in request.META:
            return self.get_response(request)
        request.get_host()  # refuses a host that is not ours, as CommonMiddleware does
        key = key_of(request)
        now = time.monotonic()
        page = self.pages.get(key)
        if page is not None:
            age = now - page.rendered_at
            if age < FRESH_SECONDS or (age < MAX_AGE_SECONDS and page.is_renewing):
                return page.response(request)
            page.is_renewing = True
        response = self.get_response(request)
        self.pages.pop(key, None)
        if not may_be_kept(request, response):
            return response
        for longest_ago in list(self.pages)[: max(0, len(self.pages) - MAX_PAGES + 1)]:
            self.pages.pop(longest_ago, None)
        page = self.pages[key] = kept_page(response, rendered_at=now)
        return page.response(request)


def key_of(request: HttpRequest) -> Key:
    """All that a public page depends on."""
    theme = request.COOKIES.get("theme", "")
    currency = request.COOKIES.get(COOKIE, "")
    return (
        request.path_info,
        request.META.get("QUERY_STRING", ""),
        get_language_from_request(request),
        theme if theme in THEMES else "",
        currency if CODE.fullmatch(currency) else "",
        "gzip" in request.META.get("HTTP_ACCEPT_ENCODING", ""),
    )


def may_be_kept(request: HttpRequest, response: HttpResponse) -> bool:
    """Whether any visitor may get this answer."""
    return (
        response.status_code == 200
        and getattr(response, "is_public_page", False)
        and not request.user.is_authenticated
        and not response.cookies
        and not response.has_header("Cache-Control")
    )


def kept_page(response: HttpResponse, *, rendered_at: float) -> KeptPage:
    """The answer with an ETag of its content before compression, which pads at random."""
    is_compressed = response.headers.get("Content-Encoding") == "gzip"
    content = gzip.decompress(response.content) if is_compressed else response.content
    response.headers["ETag"] = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    patch_cache_control(response, no_cache=True)
    return KeptPage(response.content, dict(response.headers), rendered_at)
