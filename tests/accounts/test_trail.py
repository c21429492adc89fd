"""Account changes are in the audit trail, and ended sessions are deleted."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import services, tasks
from core.models import AuditEntry
from nodebyte.celery import app
from tests.accounts.test_security import EMAIL, confirm_password
from tests.accounts.test_sign_in import RESET, is_signed_in, sign_in
from tests.accounts.test_sign_up import link_in
from tests.builders import PASSWORD, make_user

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "quite another 7 words"


def test_a_changed_password_is_in_the_audit_trail(client: Client) -> None:
    user = make_user("ada@example.com")
    sign_in(client, "ada@example.com")

    client.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    )

    entry = AuditEntry.objects.get(action="user.change_password")
    assert (entry.actor_id, entry.entity_id, entry.ip) == (user.pk, str(user.pk), "127.0.0.1")
    assert NEW_PASSWORD not in str(entry.__dict__)


def test_a_password_reset_is_in_the_audit_trail(client: Client) -> None:
    user = make_user("ada@example.com")
    client.post(RESET, {"email": "ada@example.com"})
    form = client.get(link_in(mail.outbox[-1]), follow=True)

    client.post(form.request["PATH_INFO"], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})

    assert AuditEntry.objects.get(action="user.reset_password").actor_id == user.pk


def test_a_changed_address_is_in_the_audit_trail_without_the_address_itself(client: Client) -> None:
    user = make_user("ada@example.com")
    sign_in(client, "ada@example.com")
    confirm_password(client)
    client.post(EMAIL, {"action_add": "", "email": "new@example.com"})
    client.post(link_in(mail.outbox[-1]))
    client.post(EMAIL, {"action_primary": "", "email": "new@example.com"})

    assert user.reload().email == "new@example.com"
    entry = AuditEntry.objects.get(action="user.change_email")
    assert entry.actor_id == user.pk
    assert "new@example.com" not in str(entry.__dict__)


def test_expired_sessions_are_deleted_with_their_device_entries(client: Client) -> None:
    make_user("ada@example.com")
    sign_in(client, "ada@example.com")
    now = timezone.now()

    assert tasks.delete_ended_sessions() == 0
    assert services.delete_ended_sessions(at=now + timedelta(days=2)) == 0
    assert is_signed_in(client)
    assert UserSession.objects.count() == 1

    assert services.delete_ended_sessions(at=now + timedelta(days=30)) == 1
    assert not Session.objects.exists()
    assert not UserSession.objects.exists()


def test_the_schedule_names_existing_tasks() -> None:
    app.loader.import_default_modules()

    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}

    assert "accounts.tasks.delete_ended_sessions" in scheduled
    assert scheduled <= set(app.tasks)
