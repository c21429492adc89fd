"""Who reads a page: its owner, another customer, a visitor, htmx, a browser without JavaScript."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from orders.models import Order, OrderStatus
from servers.models import Server, ServerStatus
from tests.builders import make_user
from tests.pages.conftest import signed_in
from tests.pages.routes import LISTS, OWN, PERSONAL, address
from tests.pages.rows import Dataset

HTMX = {"HX-Request": "true"}
PARTS = {"order": 'id="progress"', "server": 'id="live"', "configurator": 'id="quote"'}


@pytest.fixture(scope="module")
def other_customer(dataset: Dataset) -> Client:
    """Another customer's browser."""
    client = Client()
    client.force_login(make_user())
    return client


@pytest.fixture
def unlocked(django_db_blocker: Any) -> Iterator[None]:
    """The rows may be changed; the test puts them back."""
    with django_db_blocker.unblock():
        yield


@pytest.mark.parametrize("name", [*LISTS, *OWN, *PERSONAL])
def test_the_owner_reads_it(name: str, owner: Client, dataset: Dataset) -> None:
    assert owner.get(address(name, dataset)).status_code == 200


@pytest.mark.parametrize("name", OWN)
def test_another_customer_does_not_find_it(name: str, other_customer: Client, dataset: Dataset) -> None:
    answer = other_customer.get(address(name, dataset))

    assert answer.status_code == 404
    assert "Page not found" in answer.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_another_customer_sees_their_own_empty_list(name: str, other_customer: Client, dataset: Dataset) -> None:
    page = other_customer.get(address(name, dataset)).content.decode()

    assert 'class="empty"' in page or name in {"wallet", "payment methods"}  # these have a form first
    assert str(dataset.top_up.pk) not in page
    assert str(dataset.server.pk) not in page
    assert str(dataset.invoice.pk) not in page


@pytest.mark.parametrize("name", [*LISTS, *OWN, "profile"])
def test_a_visitor_is_asked_to_sign_in_and_comes_back(name: str, visitor: Client, dataset: Dataset) -> None:
    answer = visitor.get(address(name, dataset))

    assert (answer.status_code, answer["Location"]) == (
        302,
        f"{reverse(settings.LOGIN_URL)}?next={address(name, dataset)}",
    )


@pytest.mark.parametrize("name", PARTS)
def test_htmx_gets_the_part_and_nothing_around_it(name: str, owner: Client, dataset: Dataset) -> None:
    part = owner.get(address(name, dataset), headers=HTMX)
    page = part.content.decode()

    assert part.status_code == 200
    assert PARTS[name] in page
    assert "<html" not in page
    assert "HX-Request" in part["Vary"]


@pytest.mark.parametrize("name", PARTS)
def test_only_pages_with_live_parts_carry_the_script_for_them(name: str, owner: Client, dataset: Dataset) -> None:
    assert "htmx" in owner.get(address(name, dataset)).content.decode()
    assert ".min.js" not in owner.get(address("servers", dataset)).content.decode()


@pytest.mark.parametrize("name", ["order", "server"])
def test_without_scripts_a_live_page_reloads_itself(name: str, owner: Client, dataset: Dataset) -> None:
    page = owner.get(address(name, dataset)).content.decode()

    assert '<meta http-equiv="refresh"' in page.partition("<noscript>")[2].partition("</noscript>")[0]


@pytest.mark.usefixtures("unlocked")
def test_a_page_with_nothing_to_follow_does_not_reload(owner: Client, dataset: Dataset) -> None:
    Order.objects.filter(pk=dataset.order.pk).update(status=OrderStatus.CANCELED)
    page = owner.get(address("order", dataset)).content.decode()
    Order.objects.filter(pk=dataset.order.pk).update(status=OrderStatus.PENDING_PAYMENT)

    assert "every 2s" not in page
    assert "http-equiv" not in page


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        (ServerStatus.RUNNING, {"restart", "stop", "ask-kill"}),
        (ServerStatus.STOPPED, {"start"}),
        (ServerStatus.INSTALLING, set()),
        (ServerStatus.SUSPENDED, set()),
        (ServerStatus.FAILED, set()),
    ],
)
@pytest.mark.usefixtures("unlocked")
def test_only_the_buttons_that_do_something_can_be_pressed(
    status: ServerStatus, buttons: set[str], owner: Client, dataset: Dataset
) -> None:
    Server.objects.filter(pk=dataset.server.pk).update(status=status)
    page = owner.get(address("server", dataset)).content.decode()
    Server.objects.filter(pk=dataset.server.pk).update(status=ServerStatus.RUNNING)

    assert {name for name in ("start", "restart", "stop", "ask-kill") if is_enabled(page, name)} == buttons


def is_enabled(page: str, name: str) -> bool:
    """Whether the page has this button and it can be pressed."""
    tag = page.partition(f'id="{name}"')[2].partition(">")[0]
    return bool(tag) and "disabled" not in tag


def test_a_page_number_past_the_end_shows_the_last_page(dataset: Dataset) -> None:
    assert signed_in(dataset).get(address("servers", dataset), {"page": "99"}).status_code == 200
