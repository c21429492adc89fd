"""The profile page: what may be changed, what is refused, what is audited."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.middleware import CURRENT
from accounts.models import Membership, User
from accounts.time_zone import TimeZoneMiddleware
from core import tenancy
from core.models import AuditEntry
from tests.builders import make_organization, make_user

pytestmark = pytest.mark.django_db
PROFILE = "/profile/"
GOOD = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "phone": "+1 555 0100",
    "timezone": "Europe/London",
    "locale": "en",
}


@pytest.fixture
def ada(client: Client) -> User:
    """A user who is signed in."""
    user = make_user("ada@example.com")
    client.force_login(user)
    return user


def test_a_change_is_stored_and_audited(client: Client, ada: User) -> None:
    response = client.post(PROFILE, GOOD, HTTP_USER_AGENT="Firefox", REMOTE_ADDR="198.51.100.7")

    assert (response.status_code, response["Location"]) == (302, PROFILE)
    user = ada.reload()
    assert (user.full_name, user.phone, user.timezone) == ("Ada Lovelace", "+1 555 0100", "Europe/London")
    entry = AuditEntry.objects.get(action="user.change_profile")
    assert (entry.actor, entry.entity_id, entry.ip, entry.user_agent) == (ada, str(ada.pk), "198.51.100.7", "Firefox")
    assert entry.old == {"first_name": "", "last_name": "", "phone": "", "timezone": "UTC"}
    assert entry.new is not None
    assert entry.new["first_name"] == "Ada"
    assert "Saved." in client.get(PROFILE).content.decode()


def test_saving_without_a_change_writes_no_audit_entry(client: Client, ada: User) -> None:
    client.post(PROFILE, GOOD)
    client.post(PROFILE, GOOD)

    assert AuditEntry.objects.filter(action="user.change_profile").count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", "x" * 101),
        ("first_name", "Ada\x00"),
        ("first_name", "Ada\u202eecalevoL"),
        ("last_name", "Love\u2066lace"),
        ("last_name", "Love\u200blace"),
        ("last_name", "y" * 900_000),
        ("phone", "1" * 33),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("timezone", ""),
        ("locale", "xx"),
        ("locale", "en; DROP TABLE"),
    ],
)
def test_an_invalid_value_shows_an_error_at_its_field(client: Client, ada: User, field: str, value: str) -> None:
    response = client.post(PROFILE, GOOD | {field: value})

    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    page = response.content.decode()
    assert f'id="id_{field}"' in page
    assert 'aria-invalid="true"' in page
    assert str(response.context["form"].errors[field][0]) in page.replace("&#x27;", "'").replace("&quot;", '"').replace(
        "&amp;", "&"
    )
    assert ada.reload().first_name == ""
    assert not AuditEntry.objects.filter(action="user.change_profile").exists()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "O'Brien & Söhne", "{{ 7|add:7 }}", "名前"])
def test_any_name_is_shown_as_text(client: Client, ada: User, name: str) -> None:
    client.post(PROFILE, GOOD | {"first_name": name})
    page = client.get(PROFILE).content.decode()

    assert ada.reload().first_name == name
    assert "<script>alert" not in page
    assert "14" not in page.split('name="first_name"')[1][:80]


@pytest.mark.parametrize(
    "field", ["email", "is_staff", "is_superuser", "status", "password", "preferences", "id", "groups"]
)
def test_fields_that_are_not_on_the_form_cannot_be_changed(client: Client, ada: User, field: str) -> None:
    rows: Any = User.objects.filter(pk=ada.pk).values()
    before = rows.get()
    client.post(PROFILE, GOOD | {field: "1"})
    after = rows.all().get()

    assert {name for name in before if before[name] != after[name]} <= {*GOOD, "updated_at"}


@pytest.mark.parametrize("typed", ["Europe/Berlin", "europe/berlin", " Europe/Berlin "])
def test_a_time_zone_is_typed_and_the_page_carries_only_a_few(client: Client, ada: User, typed: str) -> None:
    client.post(PROFILE, GOOD | {"timezone": typed})
    page = client.get(PROFILE).content

    assert ada.reload().timezone == "Europe/Berlin"
    assert len(page) < 16_000
    assert 'value="Europe/Berlin"' in page.decode()


def test_pages_use_the_time_zone_that_the_user_has_set(client: Client, ada: User) -> None:
    client.post(PROFILE, GOOD | {"timezone": "Asia/Tokyo"})
    request = client.get(PROFILE).wsgi_request
    zones = []

    def page(_request: HttpRequest) -> HttpResponse:
        zones.append(timezone.get_current_timezone_name())
        return HttpResponse()

    TimeZoneMiddleware(page)(request)

    assert zones == ["Asia/Tokyo"]
    assert timezone.get_current_timezone_name() == "UTC"


def test_htmx_gets_only_the_form(client: Client, ada: User) -> None:
    response = client.post(PROFILE, GOOD | {"locale": "xx"}, HTTP_HX_REQUEST="true")

    assert response.status_code == 422
    assert "<html" not in response.content.decode()
    assert "HX-Request" in response["Vary"]


def test_a_visitor_is_asked_to_sign_in(client: Client) -> None:
    for response in (client.get(PROFILE), client.post(PROFILE, GOOD)):
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_other_methods_are_refused(client: Client, ada: User, method: str) -> None:
    assert getattr(client, method)(PROFILE).status_code == 405


def test_the_page_needs_few_queries(client: Client, ada: User, django_assert_num_queries: Any) -> None:
    client.get(PROFILE)
    with django_assert_num_queries(5):
        assert client.get(PROFILE).status_code == 200


def test_only_billing_fields_of_a_billing_contact_are_stored(ada: User) -> None:
    organization = make_organization(ada)
    fields = {"billing_name": "Ada Ltd", "country": "GB", "owner": make_user(), "is_personal": False, "currency": "EUR"}
    services.change_billing_contact(organization=organization, fields=fields, actor=ada)

    now = organization.reload()
    assert (now.billing_name, now.country, now.owner, now.is_personal, now.currency) == (
        "Ada Ltd",
        "GB",
        ada,
        True,
        "USD",
    )
    entry = AuditEntry.objects.get(action="organization.change_billing_contact")
    assert entry.new == {"billing_name": "Ada Ltd", "country": "GB"}


def test_a_personal_organization_is_created_once(ada: User) -> None:
    first = make_organization(ada)
    with tenancy.as_role(role=tenancy.CUSTOMER, user_id=ada.pk, organizations=[first.pk]):
        assert services.ensure_personal_organization(user=ada) == first
    assert Membership.objects.filter(user=ada).count() == 1


def test_an_organization_the_user_left_is_no_longer_the_current_one(client: Client, ada: User) -> None:
    guest = make_organization()
    membership = Membership.objects.create(organization=guest, user=ada)
    session = client.session
    session[CURRENT] = str(guest.pk)
    session.save()
    assert client.get(PROFILE).wsgi_request.organization == guest  # type: ignore[attr-defined]
    membership.delete()

    assert client.get(PROFILE).wsgi_request.organization == make_organization(ada)  # type: ignore[attr-defined]


@pytest.mark.parametrize("planted", ["", "not-an-id", "1' OR '1'='1", None, 7])
def test_an_invalid_organization_in_the_session_means_the_personal_one(
    client: Client, ada: User, planted: object
) -> None:
    session = client.session
    session[CURRENT] = planted
    session.save()

    assert client.get(PROFILE).wsgi_request.organization == make_organization(ada)  # type: ignore[attr-defined]


def test_another_tenants_organization_in_the_session_means_the_personal_one(client: Client, ada: User) -> None:
    session = client.session
    session[CURRENT] = str(make_organization().pk)
    session.save()

    assert client.get(PROFILE).wsgi_request.organization == make_organization(ada)  # type: ignore[attr-defined]


def test_a_suspended_user_cannot_submit_an_open_form(client: Client, ada: User) -> None:
    client.get(PROFILE)
    services.suspend_user(user=ada, reason="abuse", actor=None, at=timezone.now())

    assert client.post(PROFILE, GOOD)["Location"].startswith("/accounts/login/")
    assert ada.reload().first_name == ""
