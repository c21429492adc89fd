"""No page waits for another system, but for those that send a customer to a gateway's page, and these not for long.

Every page and every form of customers and staff is requested, those of staff actions included. A new one is tested
without being named here, and is refused its calls by `core.middleware.OutsideCallsMiddleware` in production too.
"""

import itertools
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from core import outside
from core.middleware import OutsideCallsMiddleware
from core.outside import pages
from core.outside.limits import HostLimits
from servers.models import Server
from tests.builders import make_staff
from tests.core.local_server import LocalServer
from tests.isolation import routes
from tests.isolation.tenants import Tenant
from tests.isolation.test_routes import METHODS, Requester

pytestmark = pytest.mark.django_db
MAY_CALL = {"pay", "choose_payment", "configure", "cart", "confirm_charge", "add_method", "portal", "webhook"}
MAY_CALL |= {"pay_all", "confirm_top_up", "top_up", "pay_top_up", "confirm_plan_change", "pay_plan_change"}
MAY_CALL |= {"confirm_plan_change_charge"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What pages called, or tried to call; nothing is sent. A test's own transaction is no reason to refuse here."""
    made: list[str] = []

    def slot(_limits: HostLimits, call: str) -> Any:
        made.append(call)
        pages.refuse_page(call)
        raise outside.Unavailable(call)

    def note(request: HttpRequest, **_: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, RuntimeError) and "was called" in str(error):
            made.append(f"{request.path}: {error}")

    monkeypatch.setattr(HostLimits, "slot", slot)
    got_request_exception.connect(note)
    yield made
    got_request_exception.disconnect(note)


def callers(user: User, tenant: Tenant, calls: list[str], **form: str) -> list[str]:
    """The requests that called another system, except those to the pages that may."""
    found, requester = [], Requester(user)
    for route in routes.routes():
        if route.is_staff and not user.is_staff:
            continue  # not found, as test_routes.py sees
        for method, url in itertools.product(METHODS, route.urls(tenant)):
            calls.clear()
            requester.request(method, url, looking_for="a", **form)
            if calls and route.name.rpartition(":")[2] not in MAY_CALL:
                found.append(f"{method} {route.name}: {calls[0]}")
    return found


def test_no_page_of_a_customer_calls_another_system(ada: Tenant, calls: list[str]) -> None:
    Server.objects.update(status="running", identifier="1a2b3c4d")

    assert callers(ada.user, ada, calls) == []


@pytest.mark.usefixtures("no_menu")
def test_no_page_and_no_action_of_staff_calls_another_system(ada: Tenant, calls: list[str]) -> None:
    Server.objects.update(status="running", identifier="1a2b3c4d")
    staff = make_staff("root@staff.example.com", is_superuser=True)

    assert callers(staff, ada, calls, _form_submitted="True", reason="why", name=ada.server.name) == []


def marked(patterns: list[Any]) -> set[str]:
    found = set()
    for each in patterns:
        if isinstance(each, URLResolver):
            found |= marked(each.url_patterns)
        elif isinstance(each, URLPattern) and getattr(each.callback, "may_call_outside", False):
            found.add(str(each.name))
    return found


def test_only_the_pages_before_a_gateways_page_may_call() -> None:
    assert marked(get_resolver().url_patterns) == MAY_CALL


def answer(view: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """The view's answer to a request, within the middleware alone."""
    request = RequestFactory().get("/")
    middleware = OutsideCallsMiddleware(view)

    def get_response(request: HttpRequest) -> HttpResponse:
        middleware.process_view(request, view)
        return view(request)

    middleware.get_response = get_response
    return middleware(request)


def hang(_connection: socket.socket) -> None:
    time.sleep(1)


def call(server: LocalServer) -> HttpResponse:
    outside.OutsideSession("panel", server.url).call("GET", "/", is_repeatable=True)
    return HttpResponse()


def test_a_page_that_calls_without_saying_so_is_a_fault_and_calls_nobody() -> None:
    server = LocalServer([hang])

    with pytest.raises(RuntimeError, match="called by a page"):
        answer(lambda _request: call(server))
    assert server.requests == []


def test_a_page_that_may_call_waits_no_longer_than_a_page_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_SECONDS", 0.3)
    server = LocalServer([hang])
    began = time.monotonic()

    with pytest.raises(outside.Unavailable):
        answer(outside.calls_outside(lambda _request: call(server)))

    assert time.monotonic() - began < 3  # one call alone may take 30 s, and it is tried three times
    assert len(server.requests) == 1
