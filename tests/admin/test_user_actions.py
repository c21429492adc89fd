"""What staff do with users: each action once over HTTP, with its audit entry."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import UserStatus
from tests.admin.action_pages import is_audited, run
from tests.admin.conftest import signed_in_user
from tests.builders import PASSWORD, make_user

pytestmark = pytest.mark.django_db


def test_a_suspended_user_is_signed_out_at_once_and_can_be_reactivated(superadmin: Client) -> None:
    user, theirs = make_user(), Client()
    theirs.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert theirs.get(reverse("dashboard")).status_code == 200

    run(superadmin, user, "suspend", reason="abuse")
    assert theirs.get(reverse("dashboard")).status_code == 302
    run(superadmin, user, "reactivate", reason="settled")

    assert user.reload().status == UserStatus.ACTIVE
    assert theirs.get(reverse("dashboard")).status_code == 302  # the old session stays ended
    assert is_audited(superadmin, "user.suspend", user)


def test_a_user_is_signed_out_everywhere(superadmin: Client) -> None:
    user, theirs = make_user(), Client()
    theirs.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})

    run(superadmin, user, "sign_out")

    assert theirs.get(reverse("dashboard")).status_code == 302
    assert user.reload().status == UserStatus.ACTIVE


def test_users_cannot_suspend_themselves(superadmin: Client) -> None:
    messages = run(superadmin, signed_in_user(superadmin), "suspend", reason="x")

    assert messages == ["You cannot do this to your own account."]
    assert signed_in_user(superadmin).status == UserStatus.ACTIVE
