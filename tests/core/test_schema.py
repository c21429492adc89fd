"""The database has the grants, policies and triggers that the models declare."""

from datetime import UTC, datetime

import pytest
from django.db import connection, models

from core import schema
from tests.isolation.tables import put_row

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.django_db
def test_after_migrate_no_policy_and_no_trigger_is_missing() -> None:
    missing = [sql for sql in schema.statements(connection) if not sql.startswith(("GRANT", "REVOKE"))]

    assert missing == []


@pytest.mark.django_db
def test_the_suite_runs_as_the_runtime_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("nodebyte_worker",)


@pytest.mark.django_db
def test_a_policy_or_trigger_dropped_by_hand_is_restored() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("DROP POLICY tenant ON orders_order")
        cursor.execute("DROP TRIGGER append_only ON core_auditentry")
        missing = [sql for sql in schema.statements(connection) if not sql.startswith(("GRANT", "REVOKE"))]
        schema.apply_after_migrate(using="default")
        still = [sql for sql in schema.statements(connection) if not sql.startswith(("GRANT", "REVOKE"))]

    assert {" ".join(sql.split()[:3]) for sql in missing} >= {"CREATE POLICY tenant", "CREATE TRIGGER append_only"}
    assert still == []


@pytest.mark.django_db
def test_a_database_with_only_some_tables_gets_the_grants_for_those() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("DROP TABLE support_delivery")
        schema.apply_after_migrate(using="default")
        cursor.execute("SELECT has_column_privilege('nodebyte_customer', 'orders_order', 'id', 'SELECT')")
        assert cursor.fetchone() == (True,)


@pytest.mark.django_db
def test_no_text_column_has_a_second_index_for_prefixes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE indexdef ~ '_pattern_ops'")
        assert cursor.fetchall() == []


NEVER_UPDATED = {"servers.UsageSample"}  # its rows come and go


def mutable_models() -> list[type[models.Model]]:
    """Our models whose rows may change. A many-to-many table's rows only come and go."""
    return [
        model
        for model in schema.own_models()
        if hasattr(model._meta.app_config, "is_nodebyte")
        and not model._meta.auto_created
        and not getattr(model, "append_only", False)
        and model._meta.label not in NEVER_UPDATED
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("model", mutable_models(), ids=lambda model: model._meta.label)
def test_a_bulk_update_of_any_table_sets_updated_at(model: type[models.Model]) -> None:
    put_row(model, updated_at=LONG_AGO)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER ALL')  # whatever else the table refuses
        cursor.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER keep_updated_at')
        cursor.execute(f'UPDATE "{table}" SET updated_at = %s, created_at = %s', [LONG_AGO, LONG_AGO])
        cursor.execute(f'SELECT min(updated_at) FROM "{table}"')
        assert cursor.fetchone()[0] > LONG_AGO
