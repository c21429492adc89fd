"""Every page of the product, opened by a customer with many rows: how many queries it makes, and how long it takes."""

import re
import statistics
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from django.contrib import admin
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from accounts.models import User
from bench.dataset import Dataset, create_dataset
from bench.environment import Environment
from bench.report import Row
from bench.timing import Call, call_ms, medians_ms
from nodebyte.seeding import users

TIMES = 15
STAFF_TIMES = 5
SHOWN_LISTS = 3
SELECT_1, EMPTY = "SELECT 1", "an empty view, signed in"
ANSWERED, BROKEN = 200, 500
# Pages that are only posted to, or belong to signing in, where a customer with a session has nothing to do.
SKIPPED = re.compile(
    r"account_(logout|confirm|reauth|inactive|password_reset|email_verif|login_code)|jsi18n|autocomplete"
)


@dataclass(frozen=True)
class Page:
    """An address and who opens it."""

    name: str
    path: str
    client: Client

    def open(self) -> int:
        """Open it once; the status."""
        status: int = self.client.get(self.path).status_code
        return status

    def round_trips(self) -> int:
        """How many queries it makes with either login, BEGIN and COMMIT included, the binding's two not."""
        with ExitStack() as stack:
            asked = [stack.enter_context(CaptureQueriesContext(each)) for each in connections.all()]
            self.open()
        return sum(map(len, asked))


def measure(environment: Environment) -> list[Row]:
    """The customer's pages, each beside SELECT 1 and an empty view of the same turn; then the staff's lists."""
    dataset = create_dataset(environment.sandbox)
    customer = signed_in(dataset.customer)
    found_pages = {page: page.open() for page in customer_pages(dataset, customer)}
    pages = [page for page, status in found_pages.items() if status == ANSWERED]
    empty: dict[str, Call] = {SELECT_1: select_1, EMPTY: lambda: customer.get("/health/live")}
    found = medians_ms(empty | {page.name: page.open for page in pages}, times=TIMES)
    rows = [
        Row(SELECT_1, found[SELECT_1], "ms"),
        Row(EMPTY, found[EMPTY], "ms", found[EMPTY] / found[SELECT_1], SELECT_1),
    ]
    for page in pages:
        rows += _rows(page, found)
    broken = [page for page, status in found_pages.items() if status >= BROKEN]
    rows += [Row(f"{page.name}, not measured: it fails", found_pages[page], "status") for page in broken]
    return [*rows, *_staff_rows(found)]


def signed_in(user: User) -> Client:
    """A client in which the user is signed in."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def select_1() -> None:
    """One round trip."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _rows(page: Page, found: dict[str, float]) -> list[Row]:
    """The page's round trips with the share of its time that as many SELECT 1 would take, and that time."""
    asked, ms = page.round_trips(), found[page.name]
    return [
        Row(page.name, asked, "queries", asked * found[SELECT_1] / ms, "the page, for as many SELECT 1"),
        Row(page.name, ms, "ms", ms / found[EMPTY], EMPTY),
    ]


def _staff_rows(limits: dict[str, float]) -> list[Row]:
    """Lists with all their columns, filters and counts: only the middle and the slowest, as all look alike."""
    staff = signed_in(User.objects.get(email=users.STAFF_EMAIL))
    pages = [page for page in _staff_pages(staff) if page.open() == ANSWERED]
    once = {page: call_ms(page.open) for page in pages}
    slowest = sorted(pages, key=lambda page: once[page], reverse=True)[:SHOWN_LISTS]
    shown = medians_ms({page.name: page.open for page in slowest}, times=STAFF_TIMES)
    middle = statistics.median(once.values())
    asked = [page.round_trips() for page in pages]
    rows = [
        Row(f"staff: {len(pages)} lists, the middle one", statistics.median(asked), "queries"),
        Row(f"staff: {len(pages)} lists, the most", max(asked), "queries"),
        Row(f"staff: {len(pages)} lists, the middle one", middle, "ms", middle / limits[EMPTY], EMPTY),
    ]
    for page in slowest:
        rows += _rows(page, limits | shown)
    return rows


def customer_pages(dataset: Dataset, client: Client, *, only: Collection[str] = ()) -> Iterator[Page]:
    """The pages of every route for customers, or `only` of those named."""
    for name, parameters in sorted(_routes(get_resolver())):
        if name.startswith("admin:") or SKIPPED.search(name) or (only and name not in only):
            continue
        try:
            arguments = {each: dataset.example(name, each) for each in parameters}
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
