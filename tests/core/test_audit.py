"""The audit trail: what is recorded, and that tampering is found."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin import site
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from accounts.models import Organization
from core import audit, audit_checkpoints, tenancy
from core.client_address import client_ip
from core.middleware import AuditContextMiddleware
from core.models import AuditEntry, Setting, SettingType
from core.models.audit import AuditCheckpoint, AuditLink, Outcome
from support.models import Delivery

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


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
    assert (stored.outcome, stored.changed) == (Outcome.OK, ["value"])
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
    "outcome = 'failed'",
    "changed = '[1]'",
    "message = 'x'",
    "salt = gen_random_uuid()",
    "digest = repeat('0', 64)",
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
    columns = "action, entity_type, entity_id, actor_label, user_agent, outcome, message, changed, metadata, salt, hash"
    with unguarded() as cursor:
        cursor.execute(
            f"INSERT INTO core_auditentry ({columns}) VALUES ('x', 'x', 'x', '', '', 'ok', '', '[]',"
            " '{}', gen_random_uuid(), '') RETURNING id"
        )
        (inserted,) = cursor.fetchone()
        cursor.execute("UPDATE core_auditentry e SET digest = core_audit_digest(e) WHERE id = %s", [inserted])
        cursor.execute("UPDATE core_auditentry e SET hash = core_audit_entry_hash(e) WHERE id = %s", [inserted])
    assert audit.verify() == [audit.ChainBreak(inserted, "inserted")]


def test_a_head_stored_elsewhere_shows_that_the_newest_entries_were_cut_off() -> None:
    entries = make_entries()
    head = audit_checkpoints.head()
    assert head is not None
    assert audit.verify(anchor=head) == []
    with unguarded() as cursor:
        cursor.execute("DELETE FROM core_auditlink WHERE entry_id = %s", [entries[2].pk])
        cursor.execute("DELETE FROM core_auditentry WHERE id = %s", [entries[2].pk])
    assert audit.verify() == []
    assert audit.verify(anchor=head) == [audit.ChainBreak(0, "cut off", 3)]


def test_no_value_that_can_name_a_person_is_in_the_chain() -> None:
    """Only keys, names of fields, counts and a salted digest are hashed."""
    personal = {"old", "new", "ip", "user_agent", "message", "salt"}
    assert set(AuditEntry.erasable_fields) == personal
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'core_audit_entry_hash'")
        (source,) = cursor.fetchone()
    hashed = set(re.findall(r"entry\.(\w+)", source))
    assert hashed & personal == set()
    assert hashed | personal == {field.column for field in AuditEntry._meta.concrete_fields} - {"hash"}


def test_details_are_erased_and_the_chain_stays_as_it_was(django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("ann@example.com", "a-long-password")
    with audit.use_context(audit.AuditContext(ip="2001:db8::1", user_agent="Firefox")):
        audit.record(action="user.change", entity=user, actor=user, old={"name": "Ann"}, message="Ann asked")
    audit.record(action="other", entity=make_setting(), new={"value": 1})
    assert audit.verify() == []
    before = audit_checkpoints.head()

    assert audit.erase_details(entities=[user], actor="test", at=NOON) == 1

    entry = AuditEntry.objects.get(action="user.change")
    assert (entry.old, entry.ip, entry.user_agent, entry.message, entry.salt) == (None, None, "", "", None)
    assert entry.changed == ["name"]
    assert AuditEntry.objects.get(action="other").new == {"value": 1}
    assert audit.verify(anchor=before) == []
    assert audit.erase_details(entities=[user], actor="test", at=NOON) == 1  # the entry about the erasure itself


def test_details_of_a_batch_are_erased_for_each_of_the_organizations_that_it_is_about() -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    servers = [Delivery(organization_id=owner, channel="email") for owner in (ann, bob)]
    audit.record_batch(action="server.create", entities=servers, new={"name": ["Ann's", "Bob's"]})
    audit.record_batch(action="server.create", entities=servers[1:], new={"name": ["Bob's"]})

    for owner, erased in ((eve, 0), (ann, 1)):
        organization = Organization(pk=owner)
        assert audit.erase_details(entities=[organization], actor="test", at=NOON) == erased

    assert list(AuditEntry.objects.filter(action="server.create").order_by("id").values_list("new", flat=True)) == [
        None,
        {"name": ["Bob's"]},
    ]
    assert audit.verify() == []


def test_the_worker_can_erase_details_but_not_change_them_nor_hide_that_it_did() -> None:
    entry = make_entries()[1]
    for change in ("new = '{}'", "message = 'x', salt = NULL", "user_agent = 'x'"):
        with pytest.raises(DatabaseError, match="only be erased"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE core_auditentry SET {change} WHERE id = %s", [entry.pk])
    AuditEntry.objects.filter(pk=entry.pk).update(**audit.ERASED)
    assert audit.verify() == [audit.ChainBreak(entry.pk, "details missing", 2)]


@pytest.fixture
def kept(settings: Any, tmp_path: Path) -> Path:
    """Where the head is kept outside the database."""
    settings.VAR = tmp_path
    return tmp_path / "audit_head.json"


@contextmanager
def rebuilt() -> Iterator[Any]:
    """The owner changes entries, and then computes every hash and link anew with the database's own functions."""
    with unguarded() as cursor:
        yield cursor
        cursor.execute("UPDATE core_auditentry e SET digest = core_audit_digest(e)")
        cursor.execute("UPDATE core_auditentry e SET hash = core_audit_entry_hash(e)")
        cursor.execute("SELECT id, hash FROM core_auditentry ORDER BY id")
        entries = cursor.fetchall()
        cursor.execute("DELETE FROM core_auditlink")
        previous = ""
        for position, (entry, digest) in enumerate(entries, 1):
            cursor.execute(
                "INSERT INTO core_auditlink (position, entry_id, entry_hash, previous_hash, hash) VALUES"
                " (%s, %s, %s, %s, core_audit_link_hash(%s, %s, %s, %s)) RETURNING hash",
                [position, entry, digest, previous, position, entry, digest, previous],
            )
            (previous,) = cursor.fetchone()


def test_a_chain_that_the_owner_rebuilt_is_found_by_its_checkpoint(kept: Path) -> None:
    entries = make_entries()
    assert audit_checkpoints.sign_head() == audit_checkpoints.head()
    assert audit.verify() == []
    kept.unlink()  # even without the file
    with rebuilt() as cursor:
        cursor.execute("UPDATE core_auditentry SET action = 'x' WHERE id = %s", [entries[0].pk])
    assert audit.verify() == [audit.ChainBreak(0, "rebuilt", 3)]


def test_a_machine_that_kept_no_head_does_not_sign_a_chain_that_was_rebuilt(kept: Path) -> None:
    entries = make_entries()
    audit_checkpoints.sign_head()
    kept.unlink()
    with rebuilt() as cursor:
        cursor.execute("UPDATE core_auditentry SET action = 'x' WHERE id = %s", [entries[0].pk])
    entry = audit.record(action="x", entity=make_setting())

    assert audit.verify() == [audit.ChainBreak(0, "rebuilt", 3)]
    assert audit_checkpoints.sign_head() is None
    AuditCheckpoint.objects.create(position=4, hash=AuditLink.objects.get(entry_id=entry.pk).hash, signature="made up")
    assert audit.verify() == [audit.ChainBreak(0, "forged checkpoint", 4), audit.ChainBreak(0, "rebuilt", 3)]


def test_a_machine_keeps_the_head_that_another_one_signed(kept: Path) -> None:
    make_entries()
    audit_checkpoints.sign_head()
    signed = kept.read_text()
    kept.unlink()

    assert audit_checkpoints.sign_head() is None
    assert kept.read_text() == signed


def test_a_checkpoint_cannot_be_made_without_the_key(kept: Path) -> None:
    entries = make_entries()
    audit_checkpoints.sign_head()
    kept.unlink()
    with rebuilt() as cursor:
        cursor.execute("UPDATE core_auditentry SET action = 'x' WHERE id = %s", [entries[0].pk])
    with unguarded() as cursor:
        cursor.execute(
            "UPDATE core_auditcheckpoint s SET hash = l.hash FROM core_auditlink l WHERE l.position = s.position"
        )
    assert audit.verify() == [audit.ChainBreak(0, "forged checkpoint", 3)]


def test_newest_entries_cut_off_with_their_checkpoint_are_missed_and_never_signed_again(kept: Path) -> None:
    make_entries(2)
    audit_checkpoints.sign_head()
    older = kept.read_text()
    entry = make_entries(1)[0]
    audit_checkpoints.sign_head()
    with unguarded() as cursor:
        cursor.execute("DELETE FROM core_auditcheckpoint WHERE position = 3")
        cursor.execute("DELETE FROM core_auditlink WHERE entry_id = %s", [entry.pk])
        cursor.execute("DELETE FROM core_auditentry WHERE id = %s", [entry.pk])
    assert audit.verify() == [audit.ChainBreak(0, "cut off", 3)]
    audit.record(action="x", entity=make_setting())
    assert audit.verify() == [audit.ChainBreak(0, "rebuilt", 3)]
    assert audit_checkpoints.sign_head() is None

    kept.write_text(older)
    assert audit_checkpoints.sign_head() is not None
    assert audit.verify() == []


def test_a_chain_whose_checkpoints_were_deleted_is_found(kept: Path) -> None:
    make_entries()
    with unguarded() as cursor:
        cursor.execute("UPDATE core_auditlink SET at = now() - interval '11 minutes'")
    assert audit.verify() == [audit.ChainBreak(0, "unsigned", 1)]
    audit_checkpoints.sign_head()
    assert audit.verify() == []
    assert audit_checkpoints.sign_head() is None  # signed already


def test_a_checkpoint_of_a_former_key_is_believed_while_the_key_is_known(kept: Path, settings: Any) -> None:
    make_entries()
    audit_checkpoints.sign_head()
    former = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = ["new", *former]
    assert audit.verify() == []
    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert audit.verify() == [audit.ChainBreak(0, "forged checkpoint", 3)]


def test_an_entry_costs_one_statement_however_many_rows_it_is_about(django_assert_num_queries: Any) -> None:
    settings = [make_setting(str(number)) for number in range(100)]
    with tenancy.as_worker(), django_assert_num_queries(1):
        audit.record_batch(action="x", entities=settings, new={"value": 1}, message="why")


def test_an_informational_entry_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        audit.record_informational(action="x" * 101, entity=make_setting())
        Setting.objects.create(key="kept", type=SettingType.STRING, category="Shop")
    assert Setting.objects.filter(key="kept").exists()
    assert "was not written" in caplog.text


def test_an_entry_about_an_act_that_fails_undoes_the_act() -> None:
    def act() -> None:
        with transaction.atomic():
            Setting.objects.create(key="undone", type=SettingType.STRING, category="Shop")
            audit.record(action="x" * 101, entity=make_setting())

    with pytest.raises(DatabaseError):
        act()
    assert not Setting.objects.filter(key="undone").exists()


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
