"""The cart: servers that a visitor wants to order together. Their browser keeps it, so nothing of it is stored here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from django.core import signing
from django.http import HttpRequest, HttpResponse

COOKIE = "cart"
COOKIE_SECONDS = 30 * 24 * 3600
MAX_BYTES = 3800  # browsers refuse a cookie beyond 4096 bytes with its name and attributes
MAX_LINES = 20


class CartFull(Exception):
    """No cookie holds another line."""


@dataclass(frozen=True)
class Line:
    """So many servers of one product, by the configurator's choices as a query string."""

    key: str
    slug: str
    choices: str
    quantity: int = 1


@dataclass(frozen=True)
class Cart:
    """The lines, in the order in which they were added. `pk` makes them one order, from however many tabs."""

    pk: UUID = field(default_factory=uuid4)
    lines: Sequence[Line] = ()

    def with_line(self, line: Line) -> "Cart":
        """The cart with the line, which replaces the one with its key and keeps that one's quantity."""
        if all(each.key != line.key for each in self.lines):
            return replace(self, lines=(*self.lines, line))
        return replace(
            self,
            lines=[replace(line, quantity=each.quantity) if each.key == line.key else each for each in self.lines],
        )


def cart_of(request: HttpRequest) -> Cart:
    """The cart of the browser; an empty one where it has none that we signed."""
    try:
        pk, *lines = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE, max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return Cart()
    return Cart(UUID(pk), [Line(*line) for line in lines])


def keep(response: HttpResponse, cart: Cart, request: HttpRequest) -> None:
    """Let the browser keep the cart. Raises CartFull."""
    if not cart.lines:
        response.delete_cookie(COOKIE, samesite="Lax")
        return
    rows = [(line.key, line.slug, line.choices, line.quantity) for line in cart.lines]
    value = signing.dumps([cart.pk.hex, *rows], salt=COOKIE, compress=True)
    if len(value) > MAX_BYTES or len(rows) > MAX_LINES:
        raise CartFull
    is_secure = request.is_secure()
    response.set_cookie(COOKIE, value, max_age=COOKIE_SECONDS, httponly=True, samesite="Lax", secure=is_secure)
