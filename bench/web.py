"""Every page through the real web server: answers a second and p99, with 1, 4 and 16 connections."""

from django.conf import settings
from django.test import Client
from django.urls import reverse

from bench.dataset import create_dataset
from bench.environment import Environment
from bench.pages import ANSWERED, customer_pages, signed_in
from bench.processes import running_web
from bench.report import Row
from bench.web_load import SLOW_CLIENTS, Load, load, slow_clients

CONNECTIONS = (1, 4, 16)
SECONDS = 1.5
EMPTY = "an empty view"
PUBLIC = ("home", "storefront:products", "storefront:product", "storefront:configure", "account_login")


def measure(environment: Environment) -> list[Row]:
    """The visitors' pages, then the customer's, each beside an empty view; then beside slow clients."""
    dataset = create_dataset(environment.sandbox)
    customer = signed_in(dataset.customer)
    cookie = f"{settings.SESSION_COOKIE_NAME}={customer.cookies[settings.SESSION_COOKIE_NAME].value}"
    visitor = Client()
    pages = {f"visitor: {page.name}": (page.path, "") for page in customer_pages(dataset, visitor, only=PUBLIC)}
    own = [page for page in customer_pages(dataset, customer) if page.open() == ANSWERED]
    pages |= {f"customer: {page.name}": (page.path, cookie) for page in own if "health" not in page.name}
    rows = []
    with running_web(environment):
        port = environment.web_port
        for connections in CONNECTIONS:
            empty = load(port, reverse("health_live"), connections=connections, seconds=SECONDS)
            rows += rows_of(f"{EMPTY}, {connections} at once", empty, empty)
            for name, (path, sent) in pages.items():
                found = load(port, path, cookie=sent, connections=connections, seconds=SECONDS)
                rows += rows_of(f"{name}, {connections} at once", found, empty)
        for name, (path, sent) in (
            ("visitor: home", ("/", "")),
            ("customer: dashboard", (reverse("dashboard"), cookie)),
        ):
            with slow_clients(port):
                beside = load(port, path, cookie=sent, connections=1, seconds=SECONDS)
            rows += rows_of(f"{name}, 1 at once, beside {SLOW_CLIENTS} slow clients", beside, beside)
    return rows


def rows_of(name: str, found: Load, empty: Load) -> list[Row]:
    """The page's two figures; the ratio is to an empty view with as many connections."""
    return [Row(name, found.rate, "/s", empty.rate / found.rate, EMPTY), Row(f"{name}, p99", found.p99_ms, "ms")]
