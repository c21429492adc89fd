"""Signing up: a user, a personal organization, and an address that must be verified."""

import re
from typing import Any, ClassVar

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.test import Client
from django.test.utils import override_settings

from accounts.models import Membership, Organization, Role, User, UserStatus
from core.models import AuditEntry
from tests.builders import PASSWORD, make_user

pytestmark = pytest.mark.django_db
SIGN_UP, LOGIN = "/accounts/signup/", "/accounts/login/"


def sign_up(client: Client, email: str = "ada@example.com", **fields: str) -> Any:
    return client.post(SIGN_UP, {"email": email, "password1": PASSWORD, **fields})


def link_in(message: Any) -> str:
    """The path of the link in a message."""
    found = re.search(r"https?://[^/\s]+(/\S+)", message.body)
    assert found, message.body
    return found[1]


def test_signing_up_creates_a_pending_user_who_owns_an_organization(client: Client) -> None:
    response = sign_up(client, "Ada.Lovelace@Example.com")

    assert (response.status_code, response["Location"]) == (302, "/accounts/confirm-email/")
    user = User.objects.get()
    assert (user.email, user.status) == ("ada.lovelace@example.com", UserStatus.PENDING_VERIFICATION)
    assert not user.is_staff
    assert not user.is_superuser
    organization = Organization.objects.get(owner=user)
    assert organization.is_personal
    assert organization.slug.startswith("adalovelace-")
    assert Membership.objects.get(user=user).role == Role.OWNER
    assert AuditEntry.objects.filter(action="organization.create", actor=user).count() == 1


def test_a_user_cannot_sign_in_before_the_address_is_verified(client: Client) -> None:
    sign_up(client)

    assert client.get("/dashboard/").status_code == 302
    client.post(LOGIN, {"login": "ada@example.com", "password": PASSWORD})
    assert client.get("/dashboard/").status_code == 302


def test_opening_the_link_changes_nothing_and_its_button_activates_the_account(client: Client) -> None:
    sign_up(client)
    (message,) = mail.outbox
    link = link_in(message)

    assert client.get(link).status_code == 200  # a mail scanner opens links
    assert User.objects.get().status == UserStatus.PENDING_VERIFICATION
    assert client.post(link).status_code == 302
    user = User.objects.get()
    assert user.status == UserStatus.ACTIVE
    assert EmailAddress.objects.get(user=user).verified
    assert AuditEntry.objects.filter(action="user.verify_email", entity_id=str(user.pk)).count() == 1


def test_a_used_or_forged_link_does_not_activate(client: Client) -> None:
    sign_up(client)
    link = link_in(mail.outbox[0])
    forged = link[:-3] + ("aa/" if not link.endswith("aa/") else "bb/")

    assert client.post(forged).status_code == 404 or User.objects.get().status == UserStatus.PENDING_VERIFICATION
    client.post(link)
    User.objects.update(status=UserStatus.SUSPENDED)
    client.post(link)
    assert User.objects.get().status == UserStatus.SUSPENDED


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM", "Ada@Example.com"])
def test_a_taken_address_gets_the_response_of_a_new_one_and_creates_no_user(client: Client, email: str) -> None:
    make_user("ada@example.com")
    taken = sign_up(client, email)
    new = sign_up(Client(), "new@example.com")

    assert (taken.status_code, taken["Location"]) == (new.status_code, new["Location"])
    assert User.objects.filter(email__iexact="ada@example.com").count() == 1
    assert [message.to for message in mail.outbox if "ada" in message.to[0].lower()] != []
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "status", "groups", "user_permissions"])
def test_fields_that_are_not_on_the_form_cannot_grant_permissions(client: Client, field: str) -> None:
    sign_up(client, **{field: "active" if field == "status" else "1"})

    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.status) == (False, False, UserStatus.PENDING_VERIFICATION)
    assert not user.groups.exists()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "no-at",
        "a@b",
        "a b@example.com",
        "a@example.com\r\nBcc: x@example.com",
        "a\x00@example.com",
        "x" * 300 + "@example.com",
        "x" * 180 + "@example.com",  # longer than the column, which would cut it off
        "a@example.com,b@example.com",
        "<script>@example.com",
    ],
)
def test_an_invalid_address_shows_an_error_at_its_field(client: Client, email: str) -> None:
    response = sign_up(client, email)

    assert response.status_code in {200, 422}
    assert response.context["form"].errors["email"]
    assert not User.objects.exists()
    assert mail.outbox == []


@pytest.mark.parametrize("password", ["", "short", "password", "12345678", "ada@example.com"])
def test_a_weak_password_is_refused_and_not_shown_again(client: Client, password: str) -> None:
    response = sign_up(client, password1=password)

    assert response.context["form"].errors["password1"]
    assert not User.objects.exists()
    if len(password) > 5:
        assert f'value="{password}"' not in response.content.decode().replace('value="ada@example.com"', "")


def test_a_look_alike_address_is_another_user(client: Client) -> None:
    make_user("admin@example.com")
    sign_up(client, "аdmin@example.com")

    assert User.objects.get(email="admin@example.com").status == UserStatus.ACTIVE
    assert not User.objects.filter(email="admin@example.com").exclude(status=UserStatus.ACTIVE).exists()
    assert all(message.to != ["admin@example.com"] for message in mail.outbox)


def test_a_megabyte_in_a_field_is_refused(client: Client) -> None:
    assert sign_up(client, "a" * 2_000_000 + "@example.com").status_code == 400
    assert not User.objects.exists()


def test_the_page_helps_password_managers_and_needs_few_queries(client: Client, django_assert_num_queries: Any) -> None:
    client.get(SIGN_UP)
    with django_assert_num_queries(2):
        response = client.get(SIGN_UP)

    assert response.status_code == 200
    assert 'autocomplete="new-password"' in response.content.decode()


class CountingHasher(MD5PasswordHasher):
    """Counts what takes the time of a sign-up."""

    algorithm = "counting"
    hashed: ClassVar[list[str]] = []

    def encode(self, password: str, salt: str) -> str:
        """Hash, and count it."""
        self.hashed.append(password)
        return str(super().encode(password, salt))


def test_signing_up_hashes_a_password_whether_or_not_the_address_has_an_account(client: Client) -> None:
    make_user("ada@example.com")
    CountingHasher.hashed.clear()

    with override_settings(PASSWORD_HASHERS=[f"{__name__}.CountingHasher"]):
        counts = []
        for email in ("new@example.com", "ada@example.com"):
            assert sign_up(client, email)["Location"] == "/accounts/confirm-email/"
            counts.append(len(CountingHasher.hashed))
            client.logout()

    assert counts == [1, 2]


ORDER = "/products/minecraft/configure/?plan=mc-1gb&server_name=Ada%27s"


def test_an_address_confirmed_on_another_device_leads_back_to_the_order_once(client: Client) -> None:
    sign_up(client, next=ORDER)
    phone = Client()
    phone.post(link_in(mail.outbox[0]))

    first = phone.post(LOGIN, {"login": "ada@example.com", "password": PASSWORD})
    phone.post("/accounts/logout/")
    second = phone.post(LOGIN, {"login": "ada@example.com", "password": PASSWORD})

    assert (first["Location"], second["Location"]) == (ORDER, "/dashboard/")


def test_the_link_confirmed_where_the_account_was_made_leads_to_the_order_too(client: Client) -> None:
    sign_up(client, next=ORDER)

    assert client.post(link_in(mail.outbox[0]))["Location"] == ORDER


@pytest.mark.parametrize(
    "foreign",
    ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/" + "x" * 3000],
)
def test_nobody_is_led_to_another_site_after_signing_up(client: Client, foreign: str) -> None:
    sign_up(client, next=foreign)
    phone = Client()
    phone.post(link_in(mail.outbox[0]))

    answer = phone.post(LOGIN, {"login": "ada@example.com", "password": PASSWORD})

    assert answer["Location"] == "/dashboard/"
