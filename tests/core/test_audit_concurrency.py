"""The audit chain with concurrent writers that really commit."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from core import audit, tenancy
from core.models import AuditLink, Setting, SettingType
from tests.threads import run_at_once


@pytest.fixture(autouse=True)
def _committing(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Real commits. The owner empties the tables afterwards; flush cannot, since they are append-only."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        yield
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE NONE")
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("TRUNCATE core_auditlink, core_auditentry")
        connection.close()


def make_setting() -> Setting:
    return Setting(key="shop.name", type=SettingType.STRING, category="Shop")


def test_concurrent_writers_make_one_chain() -> None:
    def write() -> None:
        for _ in range(10):
            with tenancy.as_role(role=tenancy.CUSTOMER):  # commits as the customer's role
                audit.record(action="x", entity=make_setting())

    assert run_at_once(write, times=4) == []

    assert AuditLink.objects.count() == 40
    assert audit.verify() == []


def test_a_writer_does_not_wait_for_another_that_has_not_committed() -> None:
    with transaction.atomic():
        audit.record(action="slow", entity=make_setting())
        other = threading.Thread(target=_record_and_close)
        other.start()
        other.join(timeout=5)
        assert not other.is_alive()
    assert audit.verify() == []


def _record_and_close() -> None:
    try:
        audit.record(action="quick", entity=make_setting())
    finally:
        connection.close()


def test_a_rolled_back_transaction_leaves_neither_entry_nor_link() -> None:
    audit.record(action="kept", entity=make_setting())
    with transaction.atomic():
        audit.record(action="undone", entity=make_setting())
        transaction.set_rollback(True)
    audit.record(action="kept", entity=make_setting())

    assert [link.entry.action for link in AuditLink.objects.select_related("entry").order_by("position")] == [
        "kept"
    ] * 2
    assert audit.verify() == []
