"""The billing address: what a customer enters, and which VAT ids are believed."""

import pytest
from django.test import Client

from accounts import countries
from accounts.models import Organization
from accounts.vat import EU, vat_id
from tests.builders import make_user

pytestmark = pytest.mark.django_db
URL = "/billing-address/"
ADDRESS = {
    "billing_name": "Ada Lovelace",
    "billing_email": "ada@example.test",
    "address_line": "1 rue Ada",
    "postal_code": "75001",
    "city": "Paris",
    "country": "FR",
}


@pytest.fixture
def browser(client: Client) -> Client:
    """A signed-in owner."""
    client.force_login(make_user("ada@example.test"))
    return client


def test_a_customer_enters_their_address_and_a_vat_id_as_it_is_written(browser: Client) -> None:
    answer = browser.post(URL, ADDRESS | {"tax_id": " fr 40 303-265 045"})
    assert answer.status_code == 302
    row = Organization.objects.get()
    assert row.billing_details == ADDRESS | {"region": "", "tax_id": "FR40303265045"}
    assert row.has_vat_id
    assert "FR40303265045 is written as VAT IDs" in browser.get(URL).content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tax_id": "FR41303265045"}, "This is not a valid VAT ID of France."),
        ({"tax_id": "DE136695976"}, "This is not a valid VAT ID of France."),
        ({"country": ""}, "Choose a country: your tax depends on it."),
        ({"country": "XX"}, "Select a valid choice."),
        ({"city": ""}, "This field is required."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_stored(
    browser: Client, change: dict[str, str], said: str
) -> None:
    answer = browser.post(URL, ADDRESS | change)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Organization.objects.get().city == ""


def test_outside_the_eu_any_tax_id_is_kept_and_none_is_a_vat_id(browser: Client) -> None:
    browser.post(URL, ADDRESS | {"country": "US", "tax_id": "12-3456789"})
    row = Organization.objects.get()
    assert (row.tax_id, row.has_vat_id) == ("12-3456789", False)


def test_vat_ids_are_those_of_their_own_country() -> None:
    assert vat_id("094 259 216", "GR") == vat_id("EL094259216", "GR") == "EL094259216"
    assert [vat_id("FR40303265045", code) for code in ("DE", "GB", "")] == ["", "", ""]
    assert {code for code, _name in countries.choices()} >= EU
