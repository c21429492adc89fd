"""Staff sign a Hytale account in and choose its profile; the page shows the code, and never a token."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from nodebyte.overview import shop_problems
from servers.models import HytaleAccount, HytaleSignIn, HytaleState, SignInOutcome
from tests.admin.action_pages import is_audited, page_of, run, submit
from tests.admin.rows import AT, SECRET

pytestmark = pytest.mark.django_db
PROFILES = [{"uuid": "u-1", "username": "ExampleHost"}, {"uuid": "u-2", "username": "Other"}]


def text_of(client: Client, account: HytaleAccount) -> str:
    return client.get(page_of(account)).content.decode()


def test_an_account_is_added_and_signed_in(superadmin: Client) -> None:
    assert superadmin.post("/admin/servers/hytaleaccount/add/", {"name": "Host", "slots": 0}).status_code == 200
    superadmin.post("/admin/servers/hytaleaccount/add/", {"name": "Host", "is_active": "on", "slots": 100})
    account = HytaleAccount.objects.get()
    assert "reload-seconds" not in text_of(superadmin, account)

    run(superadmin, account, "sign_in")
    run(superadmin, account, "sign_in")

    row = HytaleSignIn.objects.get()
    assert is_audited(superadmin, "hytale.sign_in", account)
    page = text_of(superadmin, account)
    assert "A worker is getting it." in page
    assert 'name="reload-seconds"' in page
    address = "https://accounts.hytale.com/device?user_code=KPLT-4821"
    shown = {"user_code": "KPLT-4821", "address": address, "device_code": SECRET, "expires_at": AT}
    HytaleSignIn.objects.update(**shown)
    page = text_of(superadmin, account)
    assert "KPLT-4821" in page
    assert f'href="{address}"' in page
    assert SECRET not in page
    HytaleSignIn.objects.update(address="https://example.org/hytale.com")
    assert "example.org" not in text_of(superadmin, account)

    HytaleSignIn.objects.update(outcome=SignInOutcome.DENIED, device_code=None)
    page = text_of(superadmin, account)
    assert "It was denied on Hytale" in page
    assert "reload-seconds" not in page
    run(superadmin, account, "sign_in")
    assert HytaleSignIn.objects.exclude(pk=row.pk).exists()


def test_a_profile_is_chosen_among_those_that_were_listed(superadmin: Client) -> None:
    signed_in = {"state": HytaleState.SIGNED_IN, "refresh_token": SECRET, "access_token": SECRET, "refreshed_at": AT}
    account = HytaleAccount.objects.create(name="Host", profiles=PROFILES, **signed_in)
    assert any("Hytale account Host" in problem.text for problem in shop_problems(AT))
    assert "Hytale account Host" in superadmin.get("/admin/").content.decode()

    assert submit(superadmin, account, "choose_profile", profile="u-3").status_code == 422
    run(superadmin, account, "choose_profile", profile="u-2")

    assert account.reload().profile_name == "Other"
    assert is_audited(superadmin, "hytale.profile", account)
    assert not any("Hytale" in problem.text for problem in shop_problems(AT + timedelta(days=1)))
    page = text_of(superadmin, account)
    assert SECRET not in page
    assert "0 / 100" in page


def test_support_staff_see_accounts_and_sign_nobody_in(staff: Callable[[str], Client]) -> None:
    account, client = HytaleAccount.objects.create(name="Host", profiles=PROFILES), staff("support")

    assert client.get(page_of(account)).status_code == 200
    for action in ("sign_in", "choose_profile"):
        assert submit(client, account, action, profile="u-1").status_code == 403
    assert not HytaleSignIn.objects.exists()
