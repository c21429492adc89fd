"""What the models declare stands in the database."""

import pytest
from django.db import connection

from core import schema


@pytest.mark.django_db
def test_after_migrate_no_policy_and_no_trigger_is_missing() -> None:
    missing = [sql for sql in schema.statements(connection) if not sql.startswith(("GRANT", "REVOKE"))]

    assert missing == []


@pytest.mark.django_db
def test_the_suite_works_as_the_runtime_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("nodebyte_worker",)
