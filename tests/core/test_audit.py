"""The audit trail: what is recorded, and that tampering is found."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin import site
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from core import audit, tenancy
from core.client_address import client_ip
from core.middleware import AuditContextMiddleware
from core.models import AuditEntry, Setting, SettingType

pytestmark = pytest.mark.django_db


def make_setting(key: str = "shop.name") -> Setting:
    return Setting(key=key, type=SettingType.STRING, category="Shop")


def make_entries(count: int = 3) -> list[AuditEntry]:
    entries = [audit.record(action="setting.set", entity=make_setting(), new={"value": n}) for n in range(count)]
    assert audit.verify() == []
    return entries


@contextmanager
def unguarded() -> Iterator[Any]:
    """What the owner of the tables can do: write without role, triggers and foreign keys."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute(f"SET LOCAL ROLE {tenancy.WORKER}")


def test_an_entry_records_what_was_done_by_whom_and_from_where() -> None:
    with audit.use_context(audit.AuditContext(ip="2001:db8::1", user_agent="Firefox")):
        entry = audit.record(
            action="setting.set", entity=make_setting(), actor="stripe", old={"value": 1}, new={"value": 2}
        )

    stored = AuditEntry.objects.get(pk=entry.pk)
    assert (stored.action, stored.entity_type, stored.entity_id) == ("setting.set", "core.setting", "shop.name")
    assert (stored.actor_label, stored.ip, stored.user_agent) == ("stripe", "2001:db8::1", "Firefox")
    assert (stored.old, stored.new) == ({"value": 1}, {"value": 2})
    assert len(stored.hash) == 64
    assert stored.hash == entry.hash


def test_secrets_are_masked_at_any_depth_and_absence_stays_visible() -> None:
    new = {
        "api_key": "k1",
        "panel": [{"accessToken": "t"}],
        "password": "",
        "secret": None,
        "public_key": "ssh-ed25519",
    }
    entry = audit.record(action="node.edit", entity=make_setting(), new=new)
    assert AuditEntry.objects.get(pk=entry.pk).new == {
        "api_key": "•••",
        "panel": [{"accessToken": "•••"}],
        "password": "",
        "secret": None,
        "public_key": "ssh-ed25519",
    }


def test_text_that_postgresql_cannot_store_is_recorded_without_those_characters() -> None:
    with audit.use_context(audit.AuditContext(user_agent="a\x00b")):
        entry = audit.record(action="x", entity=make_setting(), new={"name": "a\x00\ud800b"})
    assert "\x00" not in AuditEntry.objects.get(pk=entry.pk).user_agent


@pytest.mark.parametrize("statement", ["UPDATE core_auditentry SET action = 'x'", "DELETE FROM core_auditentry"])
@pytest.mark.parametrize("role", [tenancy.WORKER, tenancy.STAFF, tenancy.CUSTOMER])
def test_no_role_of_ours_can_change_an_entry(statement: str, role: str) -> None:
    make_entries(1)
    with pytest.raises(DatabaseError), tenancy.as_role(role=role), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_append_only_trigger_also_stops_the_owner() -> None:
    make_entries(1)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute("UPDATE core_auditentry SET action = 'x'")
        transaction.set_rollback(True)


EDITS = [
    "actor_label = 'nobody'",
    "organization_id = '00000000-0000-7000-8000-000000000000'",
    "action = 'x'",
    "entity_type = 'x'",
    "entity_id = 'x'",
    "old = '{}'",
    "new = 'null'",
    "ip = '1.2.3.4'",
    "user_agent = 'x'",
    "metadata = '{\"a\": 1}'",
    "at = at + interval '1 microsecond'",
    "hash = repeat('0', 64)",
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_column_is_found(edit: str) -> None:
    entry = make_entries()[1]
    with unguarded() as cursor:
        cursor.execute(f"UPDATE core_auditentry SET {edit} WHERE id = %s", [entry.pk])
    assert audit.verify() == [audit.ChainBreak(entry.pk, "edited", 2)]


def test_every_column_is_covered_by_the_hash() -> None:
    covered = {edit.split(" = ")[0] for edit in EDITS} | {"id", "actor_id"}
    assert covered == {field.column for field in AuditEntry._meta.concrete_fields}


def test_an_edit_with_a_recomputed_hash_is_found() -> None:
    entry = make_entries()[1]
    with unguarded() as cursor:
        cursor.execute("UPDATE core_auditentry SET action = 'x' WHERE id = %s", [entry.pk])
        cursor.execute("UPDATE core_auditentry e SET hash = core_audit_entry_hash(e) WHERE id = %s", [entry.pk])
    assert [broken.problem for broken in audit.verify()] == ["edited"]


def test_a_deleted_entry_is_found_with_or_without_its_link() -> None:
    first, second, third = make_entries()
    with unguarded() as cursor:
        cursor.execute("DELETE FROM core_auditentry WHERE id = %s", [second.pk])
    assert audit.verify() == [audit.ChainBreak(second.pk, "deleted", 2)]
    with unguarded() as cursor:
        cursor.execute("DELETE FROM core_auditlink WHERE entry_id = %s", [second.pk])
    assert audit.verify() == [audit.ChainBreak(third.pk, "unchained", 3)]
    assert audit.verify(from_id=third.pk + 1) == []
    assert first.pk < second.pk


def test_an_inserted_entry_is_found() -> None:
    make_entries()
    columns = "action, entity_type, entity_id, actor_label, user_agent, metadata, hash"
    with unguarded() as cursor:
        cursor.execute(
            f"INSERT INTO core_auditentry ({columns}) VALUES ('x', 'x', 'x', '', '', '{{}}', '') RETURNING id"
        )
        (inserted,) = cursor.fetchone()
        cursor.execute("UPDATE core_auditentry e SET hash = core_audit_entry_hash(e) WHERE id = %s", [inserted])
    assert audit.verify() == [audit.ChainBreak(inserted, "inserted")]


def test_a_head_stored_elsewhere_shows_that_the_newest_entries_were_cut_off() -> None:
    entries = make_entries()
    head = audit.head()
    assert head is not None
    assert audit.verify(anchor=head) == []
    with unguarded() as cursor:
        cursor.execute("DELETE FROM core_auditlink WHERE entry_id = %s", [entries[2].pk])
        cursor.execute("DELETE FROM core_auditentry WHERE id = %s", [entries[2].pk])
    assert audit.verify() == []
    assert audit.verify(anchor=head) == [audit.ChainBreak(0, "cut off", 3)]


def test_the_hash_does_not_depend_on_the_sessions_settings() -> None:
    make_entries()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'Asia/Kathmandu'")
        cursor.execute("SET LOCAL datestyle = 'German'")
    assert audit.verify() == []


def test_a_customers_request_writes_audit_entries_although_it_can_only_read() -> None:
    with tenancy.as_role(role=tenancy.CUSTOMER):
        entry = audit.record(action="x", entity=make_setting())
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == (tenancy.CUSTOMER,)
    assert AuditEntry.objects.filter(pk=entry.pk).exists()


def test_the_command_reports_and_fails_on_a_break() -> None:
    entry = make_entries()[0]
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "intact; head 3:" in out.getvalue()
    with unguarded() as cursor:
        cursor.execute("UPDATE core_auditentry SET action = 'x' WHERE id = %s", [entry.pk])
    with pytest.raises(CommandError, match=f"entry {entry.pk}: edited"):
        call_command("verify_audit")


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        (0, "9.9.9.9", "1.1.1.1", "9.9.9.9"),
        (1, "10.0.0.1", "1.1.1.1", "1.1.1.1"),
        (1, "10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (2, "10.0.0.1", "6.6.6.6", "10.0.0.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        (1, "10.0.0.1", "<script>", "10.0.0.1"),
        (1, "10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        (1, "", "1.1.1.1:5000", "1.1.1.1"),
        (0, "", "", None),
    ],
)
def test_a_forwarded_address_is_trusted_only_from_our_own_proxies(
    proxies: int, remote: str, forwarded: str, expected: str | None
) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)
    with override_settings(TRUSTED_PROXY_COUNT=proxies):
        assert client_ip(request) == expected


def test_the_middleware_sets_the_audit_context_only_during_the_request(django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("ann@example.com", "a-long-password")

    def view(request: HttpRequest) -> HttpResponse:
        request.user = user
        audit.record(action="within", entity=make_setting())
        return HttpResponse()

    AuditContextMiddleware(view)(RequestFactory().get("/", REMOTE_ADDR="1.1.1.1", HTTP_USER_AGENT="x" * 900))
    audit.record(action="after", entity=make_setting())

    within, after = AuditEntry.objects.order_by("id")
    assert (within.actor, within.actor_label, within.ip, len(within.user_agent)) == (user, "", "1.1.1.1", 400)
    assert (after.actor, after.actor_label, after.ip) == (None, "system", None)


def test_a_batch_is_found_by_the_id_of_each_of_its_rows() -> None:
    settings = [make_setting("shop.name"), make_setting("shop.currency")]
    entry = audit.record_batch(action="setting.set", entities=settings, new={"value": 1})
    audit.record(action="setting.set", entity=make_setting("other"))

    admin = site._registry[AuditEntry]
    found, _has_duplicates = admin.get_search_results(RequestFactory().get("/"), AuditEntry.objects.all(), "shop.name")

    assert list(found) == [entry]
    assert entry.metadata == {"count": 2, "ids": ["shop.name", "shop.currency"]}
    assert audit.verify() == []
