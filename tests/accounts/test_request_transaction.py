"""The transaction of a request: bound before other middleware runs, and rolled back by an answer that is an error."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.core.exceptions import ImmediateHttpResponse
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.test import Client, override_settings
from django.urls import path

import nodebyte.urls
from accounts.models import User
from core import tenancy
from tests.builders import make_organization, make_user

pytestmark = pytest.mark.django_db(transaction=True)
seen: list[Any] = []


def write(name: str) -> None:
    User.objects.update(first_name=name)


def answers(request: HttpRequest, kind: str) -> HttpResponse:
    """Write, and answer in many ways."""
    write("Changed")
    if kind == "raises":
        raise RuntimeError(kind)
    if kind == "not found":
        raise Http404
    if kind == "immediate":
        raise ImmediateHttpResponse(redirect("/"))
    if kind == "template":
        return TemplateResponse(request, "404.html", status=500)
    return HttpResponse(status=int(kind))


def what_is_bound(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(tenancy.current()))


def act_and_fail(request: HttpRequest) -> HttpResponse:
    """Two services that belong together, and then an error that the page answers."""
    try:
        with tenancy.as_worker_without_row():
            write("First")
            write("Second")
            raise LookupError
    except LookupError:
        return HttpResponse(status=500)


class urls:  # noqa: N801 - stands for a module
    urlpatterns = [
        path("answers/<str:kind>/", answers, name="account_answers"),  # a system view: it works as the worker
        path("bound/", what_is_bound, name="bound"),
        path("act/", act_and_fail, name="act"),
        *nodebyte.urls.urlpatterns,
    ]


def another_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware behind ours, which reads on the way in and on the way out."""

    def answer(request: HttpRequest) -> HttpResponse:
        seen.append((tenancy.current(), User.objects.count()))
        response = get_response(request)
        seen.append((tenancy.current(), User.objects.count()))
        return response

    return answer


@pytest.fixture(autouse=True)
def _routes(settings: Any) -> Iterator[None]:
    seen.clear()
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.another_middleware"]):
        yield


@pytest.mark.parametrize(
    ("kind", "is_kept"),
    [
        ("200", True),
        ("302", True),
        ("400", False),
        ("422", False),
        ("500", False),
        ("template", False),
        ("raises", False),
        ("not found", False),
        ("immediate", False),
    ],
)
def test_an_answer_that_is_an_error_rolls_back_what_its_request_wrote(kind: str, is_kept: bool) -> None:
    user = make_user()

    Client(raise_request_exception=False).get(f"/answers/{kind}/")

    assert (user.reload().first_name == "Changed") is is_kept


def test_an_act_that_fails_in_a_customers_page_is_undone_as_a_whole() -> None:
    user = make_user()

    assert Client().get("/act/").status_code == 500

    assert user.reload().first_name == ""


def test_middleware_behind_ours_runs_bound_to_the_user_and_each_login_of_the_database_is_bound() -> None:
    user, _other = make_user(), make_user()
    organization = make_organization(user)
    client = Client()
    client.force_login(user)

    client.get("/bound/")

    context = tenancy.TenantContext(tenancy.CUSTOMER, user.pk, (organization.pk,))
    assert seen == [(context, 1), (context, 1)]
    assert set(connections) - {"cache"} == {"default", "customer"}  # another would need a place in core/tenancy
