"""Database roles: in force exactly as long as their block."""

import threading
from contextlib import suppress
from typing import Any
from unittest.mock import patch
from uuid import UUID

import psycopg
import pytest
from django.db import InterfaceError, ProgrammingError, connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from core import checks, schema, tenancy
from core.ids import uuid7
from core.models import AuditEntry
from core.postgresql import logins
from core.tenancy.binding import signed_binding
from core.tenancy.declarations import tenancy_of
from tests.builders import make_organization, make_user

pytestmark = pytest.mark.django_db
WORKER = ("nodebyte_worker", "", "")
LOGIN = "nodebyte_customer_login"


def database_view() -> tuple[str, str, str]:
    """The role, and the user and the organizations that row-level security believes in, as the database reports them.

    What only a customer's transaction has is not asked of a worker's.
    """
    context = tenancy.current()
    with connections[tenancy.database_of(context)].cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        (role,) = cursor.fetchone()
        if context is None or context.role != tenancy.CUSTOMER:
            return role, "", ""
        cursor.execute("SELECT coalesce(app_user()::text, ''), array_to_string(app_organizations(), ',')")
        user, organizations = cursor.fetchone()
    return role, user, organizations


def as_customer(user_id: UUID | None = None, *organizations: UUID) -> Any:
    """The context of a customer."""
    return tenancy.as_role(role=tenancy.CUSTOMER, user_id=user_id, organizations=organizations)


def test_a_role_lasts_exactly_as_long_as_its_block() -> None:
    user, first, second = uuid7(), uuid7(), uuid7()
    with as_customer(user, first, second) as context:
        assert database_view() == ("nodebyte_customer", str(user), f"{first},{second}")
        assert tenancy.current() == context
    assert database_view() == WORKER
    assert tenancy.current() is None


def test_as_worker_elevates_within_a_customers_block_and_restores_the_role() -> None:
    user, organization = uuid7(), uuid7()
    with as_customer(user, organization):
        with tenancy.as_worker():
            assert database_view()[0] == "nodebyte_worker"
            with tenancy.as_worker():
                assert database_view()[0] == "nodebyte_worker"
            assert database_view()[0] == "nodebyte_worker"
        assert database_view() == ("nodebyte_customer", str(user), str(organization))


def test_roles_nest_and_are_restored_in_order() -> None:
    first, second = uuid7(), uuid7()
    with as_customer(first):
        with tenancy.as_role(role=tenancy.STAFF, user_id=second):
            assert database_view()[0] == "nodebyte_staff"
        assert database_view()[:2] == ("nodebyte_customer", str(first))
    assert database_view() == WORKER


def test_an_exception_restores_the_role() -> None:
    user = uuid7()
    with as_customer(user):
        with pytest.raises(LookupError), tenancy.as_worker():
            raise LookupError
        assert database_view()[:2] == ("nodebyte_customer", str(user))
        assert tenancy.current() is not None
    with pytest.raises(LookupError), as_customer(user):
        raise LookupError
    assert database_view() == WORKER
    assert tenancy.current() is None


def test_a_database_error_restores_the_role() -> None:
    with as_customer():
        with pytest.raises(ProgrammingError), tenancy.as_worker(), connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")
        assert database_view()[0] == "nodebyte_customer"


def test_a_block_marked_for_rollback_restores_the_role_and_undoes_its_writes() -> None:
    user = make_user()
    with as_customer(user.pk):
        with tenancy.as_worker():
            User.objects.filter(pk=user.pk).update(first_name="Changed")
            transaction.set_rollback(True)
        assert database_view()[:2] == ("nodebyte_customer", str(user.pk))
    assert user.reload().first_name == ""


def test_a_savepoint_rolled_back_by_hand_keeps_the_role() -> None:
    with as_customer():
        savepoint = transaction.savepoint_create()
        transaction.savepoint_rollback(savepoint)
        assert database_view()[0] == "nodebyte_customer"


@pytest.mark.parametrize("role", ["postgres", "nodebyte_worker; --", "", "none", "NODEBYTE_WORKER"])
def test_a_role_that_is_not_ours_is_refused(role: str) -> None:
    with pytest.raises(ValueError, match="not a role of ours"), tenancy.as_role(role=role):
        pass
    assert database_view() == WORKER


def test_a_customer_role_without_a_user_sees_no_row() -> None:
    make_organization()
    with as_customer():
        assert not Organization.objects.exists()
        assert not User.objects.exists()


def test_a_customer_sees_itself_its_organizations_and_their_members_only() -> None:
    ada, bob = make_user(), make_user()
    with as_customer(ada.pk, make_organization(ada).pk):
        assert list(User.objects.all()) == [ada]
        assert list(Organization.objects.all()) == [make_organization(ada)]
        assert not User.objects.filter(pk=bob.pk).exists()


@pytest.mark.parametrize("model", schema.own_models(), ids=lambda model: model._meta.label)
def test_a_customer_cannot_write_any_table(model: Any) -> None:
    table = connection.ops.quote_name(model._meta.db_table)
    column = connection.ops.quote_name(model._meta.pk.column)
    for statement in (
        f"INSERT INTO {table} DEFAULT VALUES",
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"SELECT 1 FROM {table} FOR UPDATE",
    ):
        assert refused_to_a_customer(statement), statement


@pytest.mark.parametrize("model", schema.own_models(), ids=lambda model: model._meta.label)
def test_a_customer_reads_exactly_the_tables_declared_readable(model: Any) -> None:
    declared = tenancy_of(model)
    statement = f"SELECT 1 FROM {connection.ops.quote_name(model._meta.db_table)}"

    assert refused_to_a_customer(statement) is not (declared is not None and declared.is_readable)


def refused_to_a_customer(statement: str) -> bool:
    """Whether PostgreSQL refuses the statement for lack of a privilege."""
    try:
        with as_customer(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as error:
        return "permission denied" in str(error)
    return False


@pytest.mark.parametrize("function", ["pg_read_file('/etc/passwd')", "lo_import('/etc/passwd')", "pg_ls_dir('/')"])
def test_a_customer_cannot_read_files_on_the_database_server(function: str) -> None:
    assert refused_to_a_customer(f"SELECT {function}")


@pytest.mark.parametrize("statement", ["CREATE TABLE mine (id int)", "CREATE ROLE me", "DROP TABLE accounts_user"])
def test_a_customer_cannot_change_the_schema(statement: str) -> None:
    with pytest.raises(ProgrammingError), as_customer(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_only_the_owner_owns_tables_and_no_login_of_ours_may_take_a_role_that_is_not_its_own() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication FROM pg_roles"
            " WHERE rolname LIKE 'nodebyte%%' ORDER BY rolname"
        )
        roles = cursor.fetchall()
        cursor.execute("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname IN ('public', 'private')")
        owners = cursor.fetchall()
        cursor.execute(
            "SELECT member::regrole::text, roleid::regrole::text, inherit_option, set_option FROM pg_auth_members"
            " WHERE member::regrole::text LIKE 'nodebyte%%' ORDER BY 1, 2"
        )
        memberships = cursor.fetchall()

    assert roles == [
        ("nodebyte_customer", False, False),
        ("nodebyte_customer_login", True, False),
        ("nodebyte_owner", True, False),
        ("nodebyte_staff", False, False),
        ("nodebyte_worker", False, False),
        ("nodebyte_worker_login", True, False),
    ]
    assert owners == [("nodebyte_owner",)]
    assert memberships == [
        ("nodebyte_customer_login", "nodebyte_customer", True, False),
        ("nodebyte_worker_login", "nodebyte_staff", False, True),
        ("nodebyte_worker_login", "nodebyte_worker", True, True),
    ]


def test_staff_may_not_delete_a_tenants_row_nor_change_the_audit_trail() -> None:
    organization = make_organization()
    with tenancy.as_role(role=tenancy.STAFF):
        assert Organization.objects.filter(pk=organization.pk).exists()
        for statement in (
            "DELETE FROM accounts_organization",
            "DELETE FROM core_auditentry",
            "UPDATE core_auditentry SET action = ''",
        ):
            with (
                pytest.raises(ProgrammingError, match="permission denied"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
    assert AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_runs_after_commit_runs_as_the_worker_without_a_user() -> None:
    seen: list[Any] = []
    with as_customer(uuid7(), uuid7()):
        with tenancy.as_worker():
            transaction.on_commit(lambda: seen.append((database_view(), tenancy.current())))
        assert seen == [(WORKER, None)]


@pytest.mark.django_db(transaction=True)
def test_a_role_in_one_thread_does_not_affect_another() -> None:
    seen: list[Any] = []
    user = uuid7()
    barrier = threading.Barrier(2)

    def other() -> None:
        try:
            barrier.wait(10)
            seen.append((tenancy.current(), database_view()))
            with as_customer():
                barrier.wait(10)
                barrier.wait(10)
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    thread.start()
    with as_customer(user):
        barrier.wait(10)
        barrier.wait(10)
        assert database_view()[1] == str(user)
        barrier.wait(10)
    thread.join(10)

    assert seen == [(None, WORKER)]


@pytest.mark.parametrize("of_another", ["process", "transaction"])
def test_a_binding_holds_only_in_the_process_and_the_transaction_that_it_was_signed_for(of_another: str) -> None:
    user, believed = uuid7(), list[UUID | None]()
    with as_customer(user) as context:
        database = connections[tenancy.database_of(context)].connection
        with psycopg.Cursor(database) as cursor:  # the shop's own cursor lets no page set a binding
            cursor.execute("SELECT pg_backend_pid(), encode(timestamptz_send(transaction_timestamp()), 'hex')")
            process, began = cursor.fetchone() or (0, "")
            other = f"{process + 1}.{began}" if of_another == "process" else f"{process}.{'0' * len(began)}"
            for name in (f"{process}.{began}", other):
                cursor.execute("SELECT set_config('app.binding', %s, true)", [signed_binding(name, user, [])])
                believed += cursor.execute("SELECT app_user()").fetchone() or ()

    assert believed == [user, None]


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("ending", ["commit", "failure", "cut off"])
def test_a_pooled_connection_carries_no_binding_to_its_next_use(ending: str) -> None:
    user = uuid7()
    with suppress(LookupError, InterfaceError), as_customer(user, uuid7()):
        first = backend_pid()
        assert database_view()[:2] == (LOGIN, str(user))
        if ending == "failure":
            raise LookupError
        if ending == "cut off":
            connections["customer"].close()  # returned to the pool in the middle of the transaction
    connections["customer"].close()

    with as_customer():
        assert database_view() == (LOGIN, "", "")
        assert backend_pid() == first
    assert tenancy.current() is None


@pytest.mark.usefixtures("pooled")
def test_a_pooled_connection_that_postgresql_closed_is_replaced() -> None:
    first = pid_of_next_use()
    assert pid_of_next_use() == first

    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])

    assert pid_of_next_use() != first


def pid_of_next_use() -> int:
    """The PostgreSQL process of the connection that a customer's request gets, which it then gives back."""
    with as_customer():
        pid = backend_pid()
    connections["customer"].close()
    return pid


def backend_pid() -> int:
    """The PostgreSQL process behind this connection."""
    with connections["customer"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_step_within_a_workers_transaction_costs_no_savepoint_and_a_customers_request_is_elevated() -> None:
    with tenancy.as_worker(), CaptureQueriesContext(connection) as asked, tenancy.within_worker():
        pass
    assert len(asked) == 0
    with tenancy.as_role(role=tenancy.CUSTOMER), tenancy.within_worker():
        context = tenancy.current()
    assert context is not None
    assert context.role == tenancy.WORKER


def test_a_secret_key_that_the_database_does_not_know_is_told(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("UPDATE private.binding_key SET outer_pad = inner_pad")
        cursor.execute("SET LOCAL ROLE nodebyte_worker")
    assert client.get("/health/ready").status_code == 503
    assert [found.id for found in checks.check_logins(databases=["default"])][-1] == "nodebyte.E002"
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        schema.apply_after_migrate(using="default")
        cursor.execute("SET LOCAL ROLE nodebyte_worker")
    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_deploy_check_finds_a_login_that_may_do_too_much() -> None:
    assert [found.id for found in checks.check_logins(databases=["default"])] == [
        "nodebyte.E001"
    ]  # the suite's own login, a superuser's
    found, default = [], connections["default"].settings_dict
    with patch.dict(default, USER=logins.WORKER_LOGIN), patch.dict(default["OPTIONS"], assume_role=None):
        connections["default"].close()
        found = checks.check_logins(databases=["default"])
        connections["default"].close()
    assert found == []


@pytest.mark.django_db(transaction=True)
def test_the_deploy_check_finds_what_an_upgrade_of_postgresql_gave_to_everybody() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute("GRANT EXECUTE ON FUNCTION pg_sleep(double precision) TO PUBLIC")
        try:
            found = checks.check_logins(databases=["default"])
        finally:
            cursor.execute("REVOKE EXECUTE ON FUNCTION pg_sleep(double precision) FROM PUBLIC")
            cursor.execute(f"SET ROLE {tenancy.WORKER}")

    assert [each.id for each in found][-1] == "nodebyte.E004"
    assert "1 functions" in found[-1].msg


def change_and_fail(user: User) -> None:
    """An act of two services, of which the second fails."""
    with tenancy.as_worker():
        with tenancy.as_worker():
            User.objects.filter(pk=user.pk).update(first_name="Changed")
        raise LookupError


@pytest.mark.django_db(transaction=True)
def test_an_act_is_committed_when_its_block_ends_and_undone_as_a_whole_when_it_fails() -> None:
    user = make_user()
    with as_customer(user.pk):
        with pytest.raises(LookupError):
            change_and_fail(user)
        assert User.objects.get().first_name == ""
        with tenancy.as_worker():
            User.objects.filter(pk=user.pk).update(first_name="Changed")
        assert User.objects.get().first_name == "Changed"
        with suppress(ProgrammingError), connections["customer"].cursor() as cursor:
            cursor.execute("SELECT no_such_column")  # what the page does afterwards does not undo it
    assert user.reload().first_name == "Changed"
