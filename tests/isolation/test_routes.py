"""Every route against everybody who has no business there. A new route is tested by being in the URL table.

What it must answer follows from what it is; only the routes that are open to visitors are named, here.
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
from tests.builders import make_staff
from tests.isolation import routes
from tests.isolation.routes import Route
from tests.isolation.tenants import Tenant

pytestmark = pytest.mark.django_db
# Open to visitors, and what a visitor's GET is answered.
PUBLIC = {
    "home": 200,
    "brand_css": 200,
    "catalog:products": 200,
    "catalog:product": 200,
    "orders:configure": 200,
    "health_live": 200,
    "health_ready": 200,
    "health_db": 200,
    "billing:stripe_webhook": 405,
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
# What staff may open before anybody gave them a right.
STAFF_OPEN = {
    "admin:index",
    "admin:login",
    "admin:logout",
    "admin:password_change",
    "admin:password_change_done",
    "admin:jsi18n",
}
STAFF_OPEN |= {"admin:search"}
METHODS = ("get", "post")
LOGIN, START = "/accounts/login/", "/admin/"
DATA = {"name": "taken over", "signal": "kill", "email": "eve@example.com", "action": "delete_selected", "post": "yes"}


class Asker:
    """Asks as one person, and takes back whatever a request changed, signing out included."""

    def __init__(self, user: User | None) -> None:
        self.client = Client(raise_request_exception=False)
        if user is not None:
            self.client.force_login(user)
        self.cookies = {name: cookie.value for name, cookie in self.client.cookies.items()}

    def ask(self, method: str, address: str, looking_for: str = "") -> Any:
        """The answer; a GET also looks for something, in case the page can search."""
        sent = DATA if method == "post" else dict.fromkeys(("s", "q", "term"), looking_for)
        self.client.cookies.load(self.cookies)
        with transaction.atomic():
            answer = getattr(self.client, method)(address, sent)
            transaction.set_rollback(True)
        return answer


@pytest.fixture(autouse=True)
def _webhooks_are_signed(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = "whsec_test"


Expected = Callable[[Route, str, Any], bool]


def as_a_visitor(route: Route, method: str, answer: Any) -> bool:
    """The page, where it is open; the way to sign in, where it is not."""
    if route.name in PUBLIC:
        return bool(answer.status_code == PUBLIC[route.name] if method == "get" else answer.status_code < 500)
    if answer.status_code == 405:
        return True
    ways = {LOGIN, "/admin/login/"} | ({START} if route.is_staff else set())  # the start page leads on to sign in
    return answer.status_code == 302 and answer["Location"].partition("?")[0] in ways


def as_another_tenant(route: Route, _method: str, answer: Any) -> bool:
    """Nothing there, where the address names a thing of the first tenant's; otherwise one's own page."""
    if route.names_a_thing or route.is_staff:
        return answer.status_code in {404, 405}
    return answer.status_code in {200, 302, 400, 404, 405, 422}


def as_staff_without_a_right(route: Route, method: str, answer: Any) -> bool:
    """As any other person in the shop; in the admin only what every member of staff may open."""
    if not route.is_staff:
        return as_another_tenant(route, method, answer)
    if route.name in STAFF_OPEN:
        return answer.status_code in {200, 302, 405}
    is_unknown = answer.status_code == 302 and answer["Location"] == START  # "such a row does not exist"
    return is_unknown or answer.status_code in {403, 404, 405}


def faults(user: User | None, expected: Expected, tenant: Tenant, among: Iterable[Route] | None = None) -> list[str]:
    """Every answer that is not as it must be, or that shows something of the tenant's."""
    found, asker = [], Asker(user)
    for route in routes.routes() if among is None else among:
        for address in route.addresses(tenant):
            for method in METHODS:
                answer = asker.ask(method, address, looking_for=tenant.mark[:-1])
                if not expected(route, method, answer):
                    found.append(f"{method} {route.name} {address}: {answer.status_code} {answer.get('Location', '')}")
                if tells_of(answer, tenant):
                    found.append(f"{method} {route.name} {address}: shows what is {tenant.mark}'s")
    return found


def tells_of(answer: Any, tenant: Tenant) -> bool:
    """Whether anything of the tenant's is in the answer: its texts, or an id it was not asked for by."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return tenant.mark in body.decode(errors="replace") + json.dumps(dict(answer.headers))


def test_visitors_find_the_shop_and_the_way_to_sign_in(ada: Tenant) -> None:
    assert faults(None, as_a_visitor, ada) == []


def test_another_tenant_finds_nothing_of_the_first(ada: Tenant, bob: Tenant) -> None:
    assert faults(bob.user, as_another_tenant, ada) == []


def test_staff_without_a_right_find_nothing_of_a_tenant(ada: Tenant) -> None:
    assert faults(make_staff("plain@staff.example.com"), as_staff_without_a_right, ada) == []


def test_the_tenant_itself_is_answered_on_the_same_addresses(ada: Tenant) -> None:
    """Or the tests above would pass on addresses that lead nowhere."""
    named = [route for route in routes.routes() if route.names_a_thing and not route.is_staff]
    asker = Asker(ada.user)
    missing = [route.name for route in named if asker.ask("get", route.addresses(ada)[0]).status_code == 404]

    assert named
    assert missing == []


def test_the_public_list_names_only_routes_that_exist() -> None:
    assert set(PUBLIC) | STAFF_OPEN <= {route.name for route in routes.routes()}


def careless_page(_request: Any, pk: Any = None) -> HttpResponse:
    """A page whose author asked nobody."""
    return HttpResponse(f"the server {pk or ''} of ada7f3")


@pytest.mark.parametrize(
    ("route", "name"),
    [("careless/", "careless"), ("careless/<uuid:pk>/", "careless"), ("c/<int:ticket>/", "c"), ("d/", None)],
)
def test_a_new_route_that_is_open_by_mistake_is_found(
    ada: Tenant, monkeypatch: pytest.MonkeyPatch, route: str, name: str | None
) -> None:
    known = set(routes.routes())
    patterns = [*nodebyte.urls.urlpatterns, path(route, careless_page, name=name)]
    monkeypatch.setattr(nodebyte.urls, "urlpatterns", patterns)
    clear_url_caches()
    try:
        found = faults(None, as_a_visitor, ada, among=set(routes.routes()) - known)
    except routes.Unclassified as error:
        found = [str(error)]
    finally:
        monkeypatch.undo()
        clear_url_caches()

    assert len(found) in {1, 4}  # the name it lacks; or, for each method, that it opens and what it shows
