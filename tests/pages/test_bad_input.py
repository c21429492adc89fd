"""Bad input is an error beside its field, and nothing typed is lost."""

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import Order
from tests.pages.markup import outline_of
from tests.pages.routes import address
from tests.pages.rows import Dataset


def order_form(dataset: Dataset, owner: Client) -> dict[str, str]:
    """The configurator as it is first shown, filled in well."""
    page = outline_of(owner.get(address("configurator", dataset)).content.decode())
    chosen = {each["name"]: each["value"] for each in page.controls if each.get("type") == "radio"}
    return {**chosen, "server_name": "lantern", "form_token": "0192f3a4-0000-7000-8000-000000000001"}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("server_name", "<b>bold</b>", "Use only letters, digits, spaces"),
        ("server_name", "", "This field is required."),
        ("server_name", "x" * 65, "at most 64 characters"),
        ("region", "", "Choose a region."),
        ("region", "moon", "This region is no longer available."),
        ("plan", "huge", "huge is not one of the available choices."),
        ("term", "weekly", "weekly is not one of the available choices."),
    ],
)
def test_a_bad_order_is_refused_beside_its_field(
    field: str, value: str, said: str, owner: Client, dataset: Dataset
) -> None:
    before = Order.objects.count()
    answer = owner.post(address("configurator", dataset), {**order_form(dataset, owner), field: value})
    page = answer.content.decode()

    assert answer.status_code == 422
    assert said in page
    assert 'role="alert"' in page
    if field != "server_name":
        assert outline_of(page).value_of("server_name") == "lantern"
    elif value:
        assert outline_of(page).value_of(field) == value
    assert Order.objects.count() == before


@pytest.mark.parametrize(("name", "value"), [("", ""), ("!", "!"), ("x" * 65, "x" * 65)])
def test_a_bad_name_is_refused_beside_its_field(name: str, value: str, owner: Client, dataset: Dataset) -> None:
    answer = owner.post(reverse("servers:rename", kwargs={"pk": dataset.server.pk}), {"name": name})
    page = answer.content.decode()

    assert answer.status_code == 422
    assert 'id="id_name_error"' in page
    assert outline_of(page).value_of("name") == value


def test_a_bad_profile_is_refused_beside_its_field(owner: Client) -> None:
    answer = owner.post(reverse("accounts:profile"), {"first_name": "Ada", "phone": "1" * 40, "timezone": "UTC"})
    page = outline_of(answer.content.decode())

    assert answer.status_code == 422
    assert (page.value_of("first_name"), page.value_of("phone")) == ("Ada", "1" * 40)
    assert page.ids["id_phone_error"] == 1


def test_an_unknown_power_action_is_an_error(owner: Client, dataset: Dataset) -> None:
    power = reverse("servers:power", kwargs={"pk": dataset.server.pk})

    page = owner.post(power, {"action": "explode"}, follow=True).content.decode()

    assert "Servers have no such power action." in page


@pytest.mark.parametrize("name", ["servers:power", "servers:rename"])
def test_who_signed_in_to_press_a_button_comes_back_to_the_server(owner: Client, dataset: Dataset, name: str) -> None:
    answer = owner.get(reverse(name, kwargs={"pk": dataset.server.pk}))

    page = {"servers:power": "servers:detail", "servers:rename": "servers:settings"}[name]
    assert (answer.status_code, answer["Location"]) == (302, reverse(page, args=[dataset.server.pk]))


@pytest.mark.parametrize("method", ["put", "delete"])
def test_power_actions_are_only_posted(method: str, owner: Client, dataset: Dataset) -> None:
    power = reverse("servers:power", kwargs={"pk": dataset.server.pk})

    assert getattr(owner, method)(power).status_code == 405
