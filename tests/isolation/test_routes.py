"""Every route, requested by everybody who has no right to it. A new route is tested without being named here.

The expected status follows from the kind of route; only the routes open to visitors are listed.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import clear_url_caches, path

import nodebyte.urls
from accounts.models import User
from billing import method_setup
from tests.builders import make_staff
from tests.isolation import routes
from tests.isolation.routes import Route
from tests.isolation.tenants import Tenant

pytestmark = pytest.mark.django_db
# Open to visitors, and the status of a visitor's GET.
PUBLIC = {
    "home": 200,
    "stylesheet": 200,
    "robots": 200,
    "sitemap": 200,
    "favicon": 302,
    "storefront:currency": 302,
    "storefront:products": 200,
    "storefront:product": 200,
    "storefront:configure": 200,
    "storefront:cart": 200,
    "storefront:change_cart": 405,
    "health_live": 200,
    "health_ready": 200,
    "health_db": 200,
    "billing:webhook": 405,
    "account_login": 200,
    "account_signup": 200,
    "account_logout": 302,
    "account_inactive": 200,
    "account_confirm_email": 200,
    "account_email_verification_sent": 200,
    "account_reset_password": 200,
    "account_reset_password_done": 200,
    "account_reset_password_from_key": 200,
    "account_reset_password_from_key_done": 200,
    "account_confirm_login_code": 302,
}
# What staff may open without any permission.
STAFF_OPEN = {
    "admin:index",
    "admin:login",
    "admin:logout",
    "admin:password_change",
    "admin:password_change_done",
    "admin:jsi18n",
    "admin:search",
}
METHODS = ("get", "post")
LOGIN, START = "/accounts/login/", "/admin/"
DATA = {"name": "taken over", "email": "eve@example.com", "action": "delete_selected", "post": "yes"}
POWER = {"action": "kill"}


class Requester:
    """Sends requests as one user and undoes whatever a request changed, signing out included."""

    def __init__(self, user: User | None) -> None:
        self.client = Client(raise_request_exception=False)
        if user is not None:
            self.client.force_login(user)
        self.cookies = {name: cookie.value for name, cookie in self.client.cookies.items()}

    def request(self, method: str, url: str, looking_for: str = "", **form: str) -> Any:
        """The response. A GET also passes a search term, in case the page can search; a POST other fields, if given."""
        sent = (
            DATA | (POWER if url.endswith("/power/") else {}) | form
            if method == "post"
            else dict.fromkeys(("s", "q", "term"), looking_for)
        )
        self.client.cookies.load(self.cookies)
        with transaction.atomic():
            response = getattr(self.client, method)(url, sent)
            transaction.set_rollback(True)
        return response


@pytest.fixture(autouse=True)
def _webhooks_are_signed(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = "whsec_test"


Expected = Callable[[Route, str, Any], bool]


def as_a_visitor(route: Route, method: str, response: Any) -> bool:
    """The page if it is public, a redirect to the sign-in page if not."""
    if route.name in PUBLIC:
        return bool(response.status_code == PUBLIC[route.name] if method == "get" else response.status_code < 500)
    if response.status_code == 405:
        return True
    sign_in_pages = {LOGIN, "/admin/login/"} | ({START} if route.is_staff else set())  # the start page redirects to it
    return response.status_code == 302 and response["Location"].partition("?")[0] in sign_in_pages


def as_another_tenant(route: Route, _method: str, response: Any) -> bool:
    """Not found if the URL names a row of the first tenant, otherwise the user's own page."""
    if route.names_a_row or route.is_staff:
        return response.status_code in {404, 405}
    return response.status_code in {200, 302, 400, 404, 405, 422}


def as_staff_without_permissions(route: Route, method: str, response: Any) -> bool:
    """As any other user in the shop; in the admin only what every member of staff may open."""
    if not route.is_staff:
        return as_another_tenant(route, method, response)
    if route.name in STAFF_OPEN:
        return response.status_code in {200, 302, 405}
    is_unknown = response.status_code == 302 and response["Location"] == START  # "such a row does not exist"
    return is_unknown or response.status_code in {403, 404, 405}


def violations(
    user: User | None, expected: Expected, tenant: Tenant, among: Iterable[Route] | None = None
) -> list[str]:
    """Every response that is not as expected, or that shows data of the tenant."""
    found, requester = [], Requester(user)
    for route in routes.routes() if among is None else among:
        for url in route.urls(tenant):
            for method in METHODS:
                response = requester.request(method, url, looking_for=tenant.mark[:-1])
                if not expected(route, method, response):
                    found.append(f"{method} {route.name} {url}: {response.status_code} {response.get('Location', '')}")
                if reveals(response, tenant):
                    found.append(f"{method} {route.name} {url}: shows data of {tenant.mark}")
    return found


def reveals(response: Any, tenant: Tenant) -> bool:
    """Whether a text of the tenant is in the body or the headers."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return tenant.mark in body.decode(errors="replace") + json.dumps(dict(response.headers))


@pytest.fixture(autouse=True)
def _no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """No gateway can be asked for a page to save a card on."""
    monkeypatch.setattr(method_setup, "setup_page", lambda **_: "")
    monkeypatch.setattr(method_setup, "portal_page", lambda **_: "")


def test_visitors_see_public_pages_and_are_asked_to_sign_in_elsewhere(ada: Tenant) -> None:
    assert violations(None, as_a_visitor, ada) == []


def test_another_tenant_sees_nothing_of_the_first(ada: Tenant, bob: Tenant) -> None:
    assert violations(bob.user, as_another_tenant, ada) == []


def test_staff_without_permissions_see_nothing_of_a_tenant(ada: Tenant) -> None:
    assert violations(make_staff("plain@staff.example.com"), as_staff_without_permissions, ada) == []


def test_the_tenant_itself_can_open_the_same_urls(ada: Tenant) -> None:
    """Otherwise the tests above would pass with URLs that lead nowhere."""
    # Of an operation of another kind than the tenant's, and of machines and containers: tests/servers, tests/drivers.
    of_scripts = {f"servers:{name}" for name in ("result", "container", "logs", "rebuild", "rescue_link")}
    named = [
        route for route in routes.routes() if route.names_a_row and not route.is_staff and route.name not in of_scripts
    ]
    requester = Requester(ada.user)
    missing = [route.name for route in named if requester.request("get", route.urls(ada)[0]).status_code == 404]

    assert named
    assert missing == []


def test_the_public_list_names_only_routes_that_exist() -> None:
    assert set(PUBLIC) | STAFF_OPEN <= {route.name for route in routes.routes()}


def unprotected_page(_request: Any, pk: Any = None) -> HttpResponse:
    """A page that checks no permission."""
    return HttpResponse(f"the server {pk or ''} of ada7f3")


@pytest.mark.parametrize(
    ("route", "name"),
    [
        ("unprotected/", "unprotected"),
        ("unprotected/<uuid:pk>/", "unprotected"),
        ("c/<int:ticket>/", "c"),
        ("d/", None),
    ],
)
def test_a_new_route_that_is_open_by_mistake_is_found(
    ada: Tenant, monkeypatch: pytest.MonkeyPatch, route: str, name: str | None
) -> None:
    known = set(routes.routes())
    patterns = [*nodebyte.urls.urlpatterns, path(route, unprotected_page, name=name)]
    monkeypatch.setattr(nodebyte.urls, "urlpatterns", patterns)
    clear_url_caches()
    try:
        found = violations(None, as_a_visitor, ada, among=set(routes.routes()) - known)
    except routes.Unclassified as error:
        found = [str(error)]
    finally:
        monkeypatch.undo()
        clear_url_caches()

    assert len(found) in {1, 4}  # either the missing name, or the status and the content for each method
