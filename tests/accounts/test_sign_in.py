"""Signing in and out: session keys change, sessions end when they must, redirects stay on the site."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.models import User, UserStatus
from core.models import AuditEntry
from tests.accounts.test_sign_up import link_in
from tests.builders import PASSWORD, make_staff, make_user

pytestmark = pytest.mark.django_db
LOGIN, RESET = "/accounts/login/", "/accounts/password/reset/"


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(LOGIN + extra.pop("query", ""), {"login": email, "password": password}, **extra)


def is_signed_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


@pytest.mark.parametrize("typed", ["ada@example.com", "ADA@Example.COM", " ada@example.com "])
def test_a_user_signs_in_by_address_in_any_case(client: Client, typed: str) -> None:
    make_user("ada@example.com")

    response = sign_in(client, typed)

    assert (response.status_code, response["Location"]) == (302, "/dashboard/")
    assert is_signed_in(client)


def test_a_wrong_password_and_an_unknown_address_get_the_same_response(client: Client) -> None:
    make_user("ada@example.com")
    wrong, unknown = sign_in(client, "ada@example.com", "wrong"), sign_in(Client(), "eve@example.com", "wrong")

    assert wrong.status_code == unknown.status_code
    assert wrong.context["form"].errors == unknown.context["form"].errors


def test_password_guessing_is_blocked_across_client_addresses_and_even_with_the_right_password(client: Client) -> None:
    make_user("ada@example.com")
    for guess in range(5):
        sign_in(client, "ada@example.com", f"guess {guess}", REMOTE_ADDR=f"198.51.100.{guess}")

    response = sign_in(client, "ada@example.com", REMOTE_ADDR="198.51.100.77")

    assert "Location" not in response
    assert "Too many" in str(response.context["form"].errors)
    assert not is_signed_in(client)


def test_one_client_cannot_try_many_accounts_with_forged_addresses() -> None:
    responses = [
        sign_in(Client(), f"user{number}@example.com", "x", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").status_code
        for number in range(31)
    ]

    assert responses[-1] == 429 or 429 in responses


def test_the_cache_is_large_enough_to_keep_rate_limits() -> None:
    assert cache._max_entries >= 100_000


def test_signing_in_changes_the_session_key_so_that_a_planted_session_is_useless(client: Client) -> None:
    make_user("ada@example.com")
    client.get("/accounts/login/")
    session = client.session
    session["planted"] = "yes"
    session.save()
    before = client.session.session_key
    sign_in(client, "ada@example.com")

    assert client.session.session_key != before
    attacker = Client()
    attacker.cookies.load({"sessionid": str(before)})
    assert not is_signed_in(attacker)


def test_changing_the_password_ends_every_other_session(client: Client) -> None:
    make_user("ada@example.com")
    other_device = Client()
    for one in (client, other_device):
        sign_in(one, "ada@example.com")
    response = client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "another fine battery", "password2": "another fine battery"},
    )

    assert response.status_code == 302
    assert not is_signed_in(other_device)
    assert "Location" not in sign_in(Client(), "ada@example.com", PASSWORD)
    assert "Location" in sign_in(Client(), "ada@example.com", "another fine battery")


def test_resetting_the_password_ends_all_sessions(client: Client) -> None:
    make_user("ada@example.com")
    attacker = Client()
    sign_in(attacker, "ada@example.com")
    client.post(RESET, {"email": "ADA@example.com"})
    page = client.get(link_in(mail.outbox[-1]), follow=True)
    new = "another fine battery"
    response = client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})

    assert response.status_code == 302
    assert not is_signed_in(attacker)
    assert "Location" in sign_in(Client(), "ada@example.com", new)


def test_a_reset_link_works_once(client: Client) -> None:
    make_user("ada@example.com")
    client.post(RESET, {"email": "ada@example.com"})
    link = link_in(mail.outbox[-1])
    page = client.get(link, follow=True)
    client.post(page.request["PATH_INFO"], {"password1": "another fine battery", "password2": "another fine battery"})

    again = Client().get(link, follow=True)
    assert "password1" not in again.content.decode()


def test_requesting_a_reset_does_not_reveal_whether_an_account_exists(client: Client) -> None:
    make_user("ada@example.com")
    known, unknown = client.post(RESET, {"email": "ada@example.com"}), client.post(RESET, {"email": "eve@example.com"})

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert client.get(known["Location"]).content == client.get(unknown["Location"]).content


def test_a_suspended_user_gets_no_reset_link(client: Client) -> None:
    user = make_user("ada@example.com")
    services.suspend_user(user=user, reason="abuse", actor=None, at=timezone.now())
    client.post(RESET, {"email": "ada@example.com"})

    assert all("/reset/key/" not in message.body for message in mail.outbox)


@pytest.mark.parametrize("status", [UserStatus.SUSPENDED, UserStatus.DELETED])
def test_a_suspended_or_deleted_user_is_signed_out_at_the_next_request(client: Client, status: UserStatus) -> None:
    user = make_user("ada@example.com")
    sign_in(client, "ada@example.com")
    User.objects.filter(pk=user.pk).update(status=status)

    assert not is_signed_in(client)
    sign_in(client, "ada@example.com")
    assert not is_signed_in(client)


def test_suspension_ends_sessions_so_a_reactivated_user_must_sign_in_again(client: Client) -> None:
    user, staff = make_user("ada@example.com"), make_staff()
    sign_in(client, "ada@example.com")
    now = timezone.now()

    assert services.suspend_user(user=user, reason="abuse", actor=staff, at=now) is True
    assert services.suspend_user(user=user, reason="abuse", actor=staff, at=now) is False
    assert services.reactivate_user(user=user, reason="settled", actor=staff, at=now) is True
    assert services.reactivate_user(user=user, reason="settled", actor=staff, at=now) is False

    assert not is_signed_in(client)
    assert user.reload().status == UserStatus.ACTIVE
    entries = AuditEntry.objects.filter(entity_id=str(user.pk), actor=staff).order_by("pk")
    assert [(entry.action, entry.new["reason"]) for entry in entries if entry.new] == [
        ("user.suspend", "abuse"),
        ("user.reactivate", "settled"),
    ]
    sign_in(client, "ada@example.com")
    assert is_signed_in(client)


def test_reactivating_a_user_with_an_unverified_address_leaves_it_unverified() -> None:
    user = make_user(is_verified=False)
    services.suspend_user(user=user, reason="abuse", actor=None, at=timezone.now())
    services.reactivate_user(user=user, actor=None, at=timezone.now())

    assert user.reload().status == UserStatus.PENDING_VERIFICATION


def test_suspending_or_reactivating_does_not_restore_a_deleted_user() -> None:
    user = make_user(status=UserStatus.DELETED)

    assert services.suspend_user(user=user, reason="x", actor=None, at=timezone.now()) is False
    assert services.reactivate_user(user=user, actor=None, at=timezone.now()) is False
    assert user.reload().status == UserStatus.DELETED


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "\\\\evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "http:///evil.example",
        "javascript:alert(1)",
        "/%0d%0aLocation:%20https://evil.example",
        "\r\nSet-Cookie:a=b",
        "https:evil.example",
        "/\t/evil.example",
        "\x00//evil.example",
        "https://testserver@evil.example/",
        "https://testserver.evil.example/",
    ],
)
def test_signing_in_and_out_redirects_to_no_other_site(client: Client, target: str) -> None:
    make_user("ada@example.com")
    responses = [
        client.post(LOGIN, {"login": "ada@example.com", "password": PASSWORD, "next": target}),
        client.post("/accounts/logout/", {"next": target}),
    ]
    for response in responses:
        assert response.status_code == 302
        assert urlsplit(response["Location"]).netloc in {"", "testserver"}
        assert response["Location"].startswith("/")
        assert not response["Location"].startswith(("//", "/\\"))
        assert "\n" not in response["Location"]


def test_signing_in_redirects_back_to_the_requested_page(client: Client) -> None:
    make_user("ada@example.com")
    requested = client.get("/profile/")
    assert requested["Location"] == "/accounts/login/?next=/profile/"
    response = client.post(
        requested["Location"], {"login": "ada@example.com", "password": PASSWORD, "next": "/profile/"}
    )

    assert response["Location"] == "/profile/"


def test_signing_out_needs_a_post(client: Client) -> None:
    make_user("ada@example.com")
    sign_in(client, "ada@example.com")
    client.get("/accounts/logout/")
    assert is_signed_in(client)
    client.post("/accounts/logout/")
    assert not is_signed_in(client)


def test_a_form_without_a_csrf_token_is_refused() -> None:
    make_user("ada@example.com")
    response = sign_in(Client(enforce_csrf_checks=True), "ada@example.com")

    assert response.status_code == 403


def test_the_page_needs_few_queries(client: Client, django_assert_num_queries: Any) -> None:
    client.get(LOGIN)
    with django_assert_num_queries(2):
        assert client.get(LOGIN).status_code == 200


def test_the_sign_in_speaks_in_the_shops_words(client: Client) -> None:
    make_user("ada@example.com")
    page = sign_in(client, "ada@example.com", "wrong").content.decode()

    assert "This email address and password do not belong together." in page
    assert "Stay signed in on this device" in page
    assert "and/or" not in page
    assert "Remember Me" not in page


def test_the_only_address_is_shown_without_things_to_do_to_it(client: Client) -> None:
    user = make_user("ada@example.com")
    EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    client.force_login(user)
    alone = client.get("/accounts/email/").content.decode()
    EmailAddress.objects.create(user=user, email="second@example.com")
    with_another = client.get("/accounts/email/").content.decode()

    for name in ("action_primary", "action_send", "action_remove"):
        assert f'name="{name}"' not in alone
        assert f'name="{name}"' in with_another
    assert "ada@example.com" in alone


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("headers", [{"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, {"HTTP_ACCEPT": "application/json"}])
def test_an_answer_that_is_an_error_does_not_undo_the_count_of_wrong_passwords(headers: dict[str, str]) -> None:
    make_user("ada@example.com")
    for guess in range(5):
        response = sign_in(Client(), "ada@example.com", f"guess {guess}", REMOTE_ADDR=f"198.51.100.{guess}", **headers)
        assert response.status_code == 400

    client = Client()
    assert "Location" not in sign_in(client, "ada@example.com", REMOTE_ADDR="198.51.100.77")
    assert not is_signed_in(client)
