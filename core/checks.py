"""What `manage.py check --deploy --database default` finds out about the database's logins."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from core import tenancy

# Whether the login is more than it should be.
POWERS = """
    SELECT session_user::text, rolsuper OR rolbypassrls OR rolcreaterole
        OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid)
        OR pg_has_role(r.oid, 'pg_execute_server_program', 'MEMBER')
        OR pg_has_role(r.oid, 'pg_read_server_files', 'MEMBER') OR pg_has_role(r.oid, 'pg_write_server_files', 'MEMBER')
        OR %s AND (pg_has_role(r.oid, 'nodebyte_worker', 'MEMBER') OR pg_has_role(r.oid, 'nodebyte_staff', 'MEMBER'))
    FROM pg_roles AS r WHERE rolname = session_user"""

# What core/postgresql/privileges.sql takes from everybody; a major upgrade of PostgreSQL brings functions that have it.
LEFT_TO_EVERYBODY = """
    SELECT count(*) FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
        AND proname ~ '^(lo_|loread|lowrite|pg_advisory_|pg_try_advisory_|pg_stat_|pg_sleep|ts_stat)'
        AND has_function_privilege(oid, 'EXECUTE')"""


@register(Tags.database, deploy=True)
def check_logins(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Each login of the database is only what it should be, and customers' bindings are verified."""
    found: list[CheckMessage] = []
    if not databases:
        return found
    try:
        for alias, is_customers in ((DEFAULT_DB_ALIAS, False), (settings.CUSTOMER_DATABASE, True)):
            with connections[alias].cursor() as cursor:
                cursor.execute(POWERS, [is_customers])
                login, is_too_powerful = cursor.fetchone()
                cursor.execute(LEFT_TO_EVERYBODY)
                (left,) = cursor.fetchone()
            if is_too_powerful:
                hint = 'See "The database" in docs/operations.md.'
                found.append(Error(f"The login {login} ({alias}) may do too much.", hint=hint, id="nodebyte.E001"))
            if is_customers and left:
                hint = "Run core/postgresql/privileges.sql as a superuser; again after each upgrade of PostgreSQL."
                found.append(Error(f"Customers may run {left} functions too many.", hint=hint, id="nodebyte.E004"))
        tenancy.require_verified_binding()
    except tenancy.BindingRefused as error:
        found.append(Error("Customers see no rows.", hint=f"{error}.".capitalize(), id="nodebyte.E002"))
    except (DatabaseError, ImproperlyConfigured) as error:
        found.append(Error(f"The database does not answer: {error}", id="nodebyte.E003"))
    return found
