"""What protects a signed-in account: reauthentication, address verification, headers, cookies."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import mail
from django.test import Client

from accounts.models import User
from tests.accounts.test_sign_in import sign_in
from tests.accounts.test_sign_up import link_in
from tests.builders import PASSWORD, make_user
from tests.core.test_environment import PRODUCTION

pytestmark = pytest.mark.django_db
EMAIL = "/accounts/email/"


def confirm_password(client: Client) -> None:
    """Enter the password again, as changing the account requires."""
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


def expire_reauthentication(client: Client) -> None:
    """Move the last password entry one day back."""
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - 86_400
    session.save()


@pytest.mark.parametrize("action", ["action_add", "action_remove", "action_primary"])
def test_changing_the_address_in_an_old_session_needs_the_password(client: Client, action: str) -> None:
    user = make_user("ada@example.com")
    EmailAddress.objects.create(user=user, email="second@example.com", verified=True)
    sign_in(client, "ada@example.com")
    confirm_password(client)
    expire_reauthentication(client)

    response = client.post(
        EMAIL, {action: "", "email": "new@example.com" if action == "action_add" else "second@example.com"}
    )

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/reauthenticate/")
    assert set(EmailAddress.objects.values_list("email", "primary")) == {
        ("ada@example.com", True),
        ("second@example.com", False),
    }


def test_after_reauthentication_the_requested_change_is_made(client: Client) -> None:
    make_user("ada@example.com")
    sign_in(client, "ada@example.com")
    redirect = client.post(EMAIL, {"action_add": "", "email": "new@example.com"})
    assert client.get(redirect["Location"]).status_code == 200
    assert client.post(redirect["Location"], {"password": "wrong"}).status_code in {200, 422}
    assert not EmailAddress.objects.filter(email="new@example.com").exists()
    client.post(redirect["Location"], {"password": PASSWORD}, follow=True)

    assert EmailAddress.objects.filter(email="new@example.com", verified=False).exists()


def test_a_new_address_becomes_the_users_only_after_verification(client: Client) -> None:
    user = make_user("ada@example.com")
    sign_in(client, "ada@example.com")
    confirm_password(client)
    client.post(EMAIL, {"action_add": "", "email": "new@example.com"})
    client.post(EMAIL, {"action_primary": "", "email": "new@example.com"})

    assert user.reload().email == "ada@example.com"
    client.post(link_in(mail.outbox[-1]))
    client.post(EMAIL, {"action_primary": "", "email": "new@example.com"})
    assert user.reload().email == "new@example.com"
    assert EmailAddress.objects.get(user=user, primary=True).verified


def test_another_users_address_cannot_be_taken(client: Client) -> None:
    make_user("ada@example.com")
    bob = make_user("bob@example.com")
    sign_in(client, "ada@example.com")
    confirm_password(client)
    client.post(EMAIL, {"action_add": "", "email": "BOB@example.com"})
    for action in ("action_remove", "action_primary", "action_send"):
        client.post(EMAIL, {action: "", "email": "bob@example.com"})

    assert EmailAddress.objects.get(email__iexact="bob@example.com", verified=True).user == bob
    assert User.objects.get(email="bob@example.com") == bob


def test_another_users_session_cannot_be_ended(client: Client) -> None:
    make_user("ada@example.com")
    make_user("bob@example.com")
    bob = Client()
    sign_in(bob, "bob@example.com")
    sign_in(client, "ada@example.com")

    assert "192.0.2.99" not in client.get("/accounts/sessions/").content.decode()
    client.post("/accounts/sessions/", {})
    assert bob.get("/profile/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/products/", "/accounts/login/", "/accounts/signup/", "/no-such-page/", "/health/live"]
)
def test_every_response_has_the_strict_security_headers(client: Client, path: str) -> None:
    response = client.get(path)
    policy = response["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    for danger in ("unsafe-inline", "unsafe-eval", "*", "http:"):
        assert danger not in policy.replace(settings.STRIPE_API_BASE or "nothing", "")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_signed_in_page_varies_by_cookie(client: Client) -> None:
    client.force_login(make_user())

    assert "Cookie" in client.get("/profile/")["Vary"]


def test_the_session_cookie_is_hidden_from_scripts_and_other_sites(client: Client) -> None:
    make_user("ada@example.com")
    cookie = sign_in(client, "ada@example.com").cookies["sessionid"]

    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


AS_JSON = """
import json, django
django.setup()
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in %r}))
"""
SECURE = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_INCLUDE_SUBDOMAINS"]


@pytest.mark.parametrize(("site", "is_secure"), [("https://shop.example", True), ("http://localhost:8000", False)])
def test_cookies_are_https_only_when_the_site_is(site: str, is_secure: bool, tmp_path: Path) -> None:
    production = PRODUCTION | {
        "SITE_URL": site,
        "NODEBYTE_VAR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "nodebyte.settings",
    }
    script = AS_JSON % [*SECURE, "SESSION_COOKIE_HTTPONLY", "SECURE_HSTS_SECONDS"]
    run = subprocess.run(
        [sys.executable, "-c", script], env=production, cwd=settings.BASE_DIR, capture_output=True, check=True
    )
    values = json.loads(run.stdout)

    assert values["SESSION_COOKIE_HTTPONLY"] is True
    assert all(values[name] is is_secure for name in SECURE)
    assert bool(values["SECURE_HSTS_SECONDS"]) is is_secure


def test_a_customer_cannot_open_the_admin(client: Client) -> None:
    client.force_login(make_user())

    assert client.get("/admin/").status_code == 404


def test_an_error_page_reveals_no_code_and_no_query_string(client: Client) -> None:
    client.raise_request_exception = False
    body = client.get("/no-such-page/?token=sk_live_1").content.decode()

    assert "sk_live_1" not in body
    assert "urlpatterns" not in body


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/profile/", "/accounts/email/", "/no-such-page/"])
def test_no_cache_keeps_a_page_of_a_signed_in_user(client: Client, path: str) -> None:
    client.force_login(make_user())

    assert {"private", "no-store"} <= set(client.get(path)["Cache-Control"].split(", "))


def test_the_reset_link_names_the_shops_own_address_whatever_host_the_request_names(client: Client) -> None:
    make_user("ada@example.com")

    client.post("/accounts/password/reset/", {"email": "ada@example.com"}, headers={"host": "localhost:6666"})
    client.post("/accounts/password/reset/", {"email": "nobody@example.com"}, headers={"host": "localhost:6666"})
    client.post(
        "/accounts/signup/", {"email": "eve@example.com", "password1": PASSWORD}, headers={"host": "localhost:6666"}
    )

    assert len(mail.outbox) == 3
    for message in mail.outbox:
        assert settings.SITE_URL in message.body
        assert "6666" not in message.body


def test_a_reset_link_goes_only_to_an_address_that_was_confirmed_or_signed_up_with(client: Client) -> None:
    user, pending = make_user("ada@example.com"), make_user("eve@example.com", is_verified=False)
    EmailAddress.objects.create(user=user, email="typo@example.com", verified=False)
    EmailAddress.objects.create(user=user, email="second@example.com", verified=True)

    has_link = {}
    for address in (user.email, pending.email, "second@example.com", "typo@example.com"):
        client.post("/accounts/password/reset/", {"email": address})
        (message,) = mail.outbox
        has_link[address] = "/accounts/password/reset/key/" in message.body
        mail.outbox.clear()

    assert has_link == {
        "ada@example.com": True, "eve@example.com": True, "second@example.com": True, "typo@example.com": False,
    }  # fmt: skip
