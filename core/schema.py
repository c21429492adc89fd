"""What the models declare beyond Django's schema, applied after every migrate.

These are grants, row-level security, triggers, and where rules in the database look for tables.

A table without a declaration is closed to customers, because nothing is granted by default. Policies and triggers are
changed only where they differ, so a usual deploy takes no lock for them. All of it runs in one transaction, so no table
is ever granted to customers while its policy is missing. A test compares models and database.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from core.tenancy.binding import INSTALL_KEY, pads
from core.tenancy.declarations import hidden_columns, tenancy_of
from core.tenancy.roles import CUSTOMER, STAFF, WORKER

CACHE_TABLE = "core_cache"
# A policy's comment holds the condition it was made from, because PostgreSQL stores a rewritten one.
POLICIES = """
    SELECT polrelid::regclass::text, polname, coalesce(obj_description(oid, 'pg_policy'), '') FROM pg_policy"""

# Rules that read a table must not read a temporary one of the same name, which any worker may create.
LOOSE_FUNCTIONS = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
        AND NOT coalesce(array_to_string(proconfig, ' '), '') ~ 'search_path' ORDER BY 1"""


def apply_after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of post_migrate: make the database hold what the models declare."""
    connection = connections[using]
    if connection.vendor != "postgresql" or CACHE_TABLE not in connection.introspection.table_names():
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for statement in statements(connection):
            cursor.execute(statement)
        cursor.execute(INSTALL_KEY, pads())


def statements(connection: BaseDatabaseWrapper) -> Iterator[str]:
    """The SQL that is still missing, in order; only the grants, which may be repeated, when nothing is."""
    tables = set(connection.introspection.table_names())
    present = [model for model in own_models() if model._meta.db_table in tables]  # not all, halfway through migrating
    yield f"GRANT USAGE ON SCHEMA public TO {CUSTOMER}, {STAFF}, {WORKER}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {WORKER}, {STAFF}"
    yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {WORKER}, {STAFF}"
    yield f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {WORKER}, {STAFF}"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {CUSTOMER}"
    declared = [(f'"{model._meta.db_table}"', tenancy_of(model)) for model in present]
    readable = [model for model in present if (tenancy := tenancy_of(model)) is not None and tenancy.is_readable]
    if whole := [f'"{model._meta.db_table}"' for model in readable if not hidden_columns(model)]:
        yield f"GRANT SELECT ON {', '.join(whole)} TO {CUSTOMER}"
    for model in readable:
        if hidden := hidden_columns(model):
            columns = [field.column for field in model._meta.local_concrete_fields if field.column not in hidden]
            names = ", ".join(f'"{column}"' for column in columns)
            yield f'GRANT SELECT ({names}) ON "{model._meta.db_table}" TO {CUSTOMER}'
    if append_only := [f'"{model._meta.db_table}"' for model in present if getattr(model, "append_only", False)]:
        yield f"REVOKE UPDATE, DELETE, TRUNCATE ON {', '.join(append_only)} FROM {STAFF}, {WORKER}"
    for model in present:
        if erasable := getattr(model, "erasable_fields", ()):
            yield f'GRANT UPDATE ({", ".join(erasable)}) ON "{model._meta.db_table}" TO {WORKER}'
    if owned := [table for table, tenancy in declared if tenancy is not None and tenancy.condition]:
        yield f"REVOKE DELETE ON {', '.join(owned)} FROM {STAFF}"
    secured = {name for (name,) in _rows(connection, "SELECT relname FROM pg_class WHERE relrowsecurity")}
    triggers = set(_rows(connection, "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"))
    conditions = {(table, policy): comment for table, policy, comment in _rows(connection, POLICIES)}
    for model in present:
        yield from missing_policies(model, secured, conditions)
        yield from missing_triggers(model, triggers)
    for (function,) in _rows(connection, LOOSE_FUNCTIONS):
        yield f"ALTER FUNCTION {function} SET search_path = public, pg_temp"


def own_models() -> list[type[models.Model]]:
    """Every concrete, managed model, those of libraries and hidden many-to-many tables included."""
    return [
        model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy
    ]


def _rows(connection: BaseDatabaseWrapper, sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def missing_policies(
    model: type[models.Model], secured: set[str], conditions: dict[tuple[str, str], str]
) -> Iterator[str]:
    """Row-level security of a table: customers by the model's condition, staff and workers without one."""
    declared, table = tenancy_of(model), model._meta.db_table
    if declared is None or declared.condition is None:
        return
    if table not in secured:
        yield f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY'
    wanted = (("tenant", CUSTOMER, declared.condition), ("unrestricted", f"{STAFF}, {WORKER}", "true"))
    for policy, role, condition in wanted:
        if conditions.get((table, policy)) == condition:
            continue
        yield f'DROP POLICY IF EXISTS {policy} ON "{table}"'
        yield f'CREATE POLICY {policy} ON "{table}" TO {role} USING ({condition})'
        quoted = condition.replace("'", "''")
        yield f"COMMENT ON POLICY {policy} ON \"{table}\" IS '{quoted}'"


def missing_triggers(model: type[models.Model], triggers: set[tuple[str, str]]) -> Iterator[str]:
    """The triggers that maintain `updated_at` and refuse changes to append-only tables."""
    table = model._meta.db_table
    names = {field.name for field in model._meta.get_fields()}
    if "updated_at" in names and (table, "keep_updated_at") not in triggers:
        yield (
            f'CREATE TRIGGER keep_updated_at BEFORE UPDATE ON "{table}" FOR EACH ROW'
            " WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION core_keep_updated_at()"
        )
    if getattr(model, "append_only", False) and (table, "append_only") not in triggers:
        erasable = getattr(model, "erasable_fields", ())
        kept = [f'"{field.column}"' for field in model._meta.local_concrete_fields if field.column not in erasable]
        update = f"UPDATE OF {', '.join(kept)}" if erasable else "UPDATE"
        yield (
            f'CREATE TRIGGER append_only BEFORE {update} OR DELETE OR TRUNCATE ON "{table}"'
            " FOR EACH STATEMENT EXECUTE FUNCTION core_append_only()"
        )
