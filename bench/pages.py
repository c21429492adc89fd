"""Every page of the product, opened by a customer with a full house: how often it asks the database, and how long."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from accounts.models import User
from bench.ground import Ground
from bench.house import House, full_house
from bench.report import Row
from bench.timing import medians_ms
from nodebyte.seeding import people

TIMES = 15
STAFF_TIMES = 5
ANSWERED = 200
# Pages that exist only to be posted to, or belong to signing in: a customer with a session never lingers there.
SKIPPED = re.compile(r"account_(logout|confirm|reauth|inactive|password_reset|email_verif|login_code)|jsi18n|autocomplete")


@dataclass(frozen=True)
class Page:
    """An address and who opens it."""

    name: str
    path: str
    client: Client


def measure(ground: Ground) -> list[Row]:
    """Customer's pages, then the staff's lists; each beside SELECT 1 and an empty view of the same turn."""
    house = full_house(ground)
    customer = _signed_in(house.customer)
    staff = _signed_in(User.objects.get(email=people.STAFF_EMAIL))
    limits = {"SELECT 1": select_1, "empty view": lambda: customer.get("/health/live")}
    pages = [page for page in _customer_pages(house, customer) if _opens(page)]
    lists = [page for page in _staff_pages(staff) if _opens(page)]
    return [*_rows(pages, limits, TIMES), *_rows(lists, {}, STAFF_TIMES)]


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def select_1() -> None:
    """One round trip."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _rows(pages: list[Page], limits: dict[str, Callable[[], object]], times: int) -> Iterator[Row]:
    opened = {page.name: (lambda page=page: page.client.get(page.path)) for page in pages}
    compared: dict[str, Callable[[], object]] = {"SELECT 1": select_1, **limits, **opened}
    found = medians_ms(compared, times=times)
    round_trip = found["SELECT 1"]
    yield from (Row(name, found[name], "ms") for name in limits)
    for page in pages:
        yield Row(page.name, found[page.name], "ms", found[page.name] / round_trip, "SELECT 1")
        yield Row(f"{page.name}, round trips", _round_trips(page), "")


def _round_trips(page: Page) -> int:
    with CaptureQueriesContext(connection) as asked:
        page.client.get(page.path)
    return len(asked)


def _opens(page: Page) -> bool:
    return page.client.get(page.path).status_code == ANSWERED


def _customer_pages(house: House, client: Client) -> Iterator[Page]:
    for name, parameters in sorted(_routes(get_resolver())):
        if name.startswith("admin:") or SKIPPED.search(name):
            continue
        try:
            arguments = {each: house.example(name, each) for each in parameters}
            yield Page(name, reverse(name, kwargs=arguments), client)
        except (KeyError, NoReverseMatch):
            continue


def _routes(resolver: URLResolver, space: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every named route with its parameters."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _routes(entry, f"{space}{entry.namespace}:" if entry.namespace else space)
        elif isinstance(entry, URLPattern) and entry.name:
            yield f"{space}{entry.name}", tuple(entry.pattern.regex.groupindex)


def _staff_pages(client: Client) -> Iterator[Page]:
    yield Page("staff: today", reverse("admin:index"), client)
    for model in sorted(admin.site._registry, key=lambda model: model._meta.label):
        label = model._meta.label_lower.replace(".", "_")
        yield Page(f"staff: {model._meta.label}", reverse(f"admin:{label}_changelist"), client)
