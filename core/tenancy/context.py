"""Running a block of code as a database role: always in a transaction, and never longer (safe with pooling).

Customers have a database login of their own, which can only read (the alias settings.CUSTOMER_DATABASE). A service
writes through the workers' login, in a transaction of its own: when its outermost `as_worker` ends, it has committed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction

from core.ids import uuid7
from core.tenancy.binding import TRANSACTION, signed_binding
from core.tenancy.roles import CUSTOMER, STAFF, WORKER

OWNERS = ("organization_id", "user_id")  # whose a row is, by the first that it has; else it is its own (a user)
_contexts: ContextVar["tuple[TenantContext, ...]"] = ContextVar("tenancy", default=())
_request: ContextVar["TenantContext | None"] = ContextVar("request_tenancy", default=None)
_has_named_rows: ContextVar[bool] = ContextVar("has_named_rows", default=False)


class BindingRefused(Exception):
    """The database does not verify what this process signs: SECRET_KEY was changed, and nobody migrated since."""


class ForeignRow(Exception):
    """A customer's request asked a service to write about a row that is of none of its organizations."""


class NoRowNamed(RuntimeError):
    """A service elevated itself in a customer's request without saying for which rows."""


@dataclass(frozen=True)
class TenantContext:
    """The database role of the running transaction, and for whom it works.

    `organizations` are those of which everything is shown, `partly` those of which only single servers are.
    """

    role: str
    user_id: UUID | None = None
    organizations: tuple[UUID, ...] = ()
    partly: tuple[UUID, ...] = ()


def current() -> TenantContext | None:
    """The context in force; None for plain worker code."""
    contexts = _contexts.get()
    return contexts[-1] if contexts else None


def database_of(context: TenantContext | None) -> str:
    """The alias of the database login that the context works with."""
    is_customer = context is not None and context.role == CUSTOMER
    return settings.CUSTOMER_DATABASE if is_customer else DEFAULT_DB_ALIAS


@contextmanager
def as_role(*, role: str, user_id: UUID | None = None, organizations: Iterable[UUID] = ()) -> Iterator[TenantContext]:
    """Run the block in a transaction as `role`, which sees what the user and the organizations may see."""
    context = TenantContext(role, user_id, tuple(organizations))
    with _switched_to(context):
        yield context


@contextmanager
def in_request(context: TenantContext) -> Iterator[None]:
    """Say for whom the request in the block works, inside its transactions and between them."""
    token = _request.set(context)
    try:
        yield
    finally:
        _request.reset(token)


def _refuse_foreign(rows: Sequence[models.Model]) -> None:
    """A customer's request elevates only for rows of the user's own or of their organizations, which it names."""
    context = _request.get()
    if context is None or context.role != CUSTOMER:
        return
    if not rows and not _has_named_rows.get():
        raise NoRowNamed("name the row that this is about, or use as_worker_without_row for what is the shop's")
    own = {*context.organizations, *context.partly, context.user_id}
    for row in rows:
        owner = next((getattr(row, name) for name in OWNERS if hasattr(row, name)), row.pk)
        if owner is None or owner not in own:
            raise ForeignRow(f"{row._meta.label} {row.pk} in a request of user {context.user_id}")


@contextmanager
def acts_on(*rows: models.Model) -> Iterator[None]:
    """Say what the block is about, without a transaction: for an act that calls other systems between its own.

    Its services name no rows then. Raises ForeignRow and NoRowNamed, both in a customer's request only.
    """
    _refuse_foreign(rows)
    token = _has_named_rows.set(True)
    try:
        yield
    finally:
        _has_named_rows.reset(token)


@contextmanager
def as_worker(*rows: models.Model) -> Iterator[None]:
    """Run the block as the worker role: how a service writes on behalf of a customer, whose role can only read.

    `rows` are those that the act is about: in a customer's request they must be of the user's organizations, or the
    user's own. Raises ForeignRow. A service that works for customers names them, whoever looked them up; inside another
    block that named some it needs to name none. Raises NoRowNamed where nobody did.

    It opens a transaction, or a savepoint inside one of the worker's, so whatever the block writes is kept or undone
    as one. In a customer's request the outermost block commits when it ends: an act of several services is one block.
    """
    with acts_on(*rows), as_worker_without_row():
        yield


@contextmanager
def as_worker_without_row() -> Iterator[None]:
    """As `as_worker`, for what belongs to no customer: reading what is sold, where, and how it can be paid."""
    before = current()
    if before is None or before.role == WORKER:
        with transaction.atomic(), _current_is(before or TenantContext(WORKER)):
            yield
        return
    with _switched_to(TenantContext(WORKER, before.user_id, before.organizations)):
        yield


@contextmanager
def within_worker() -> Iterator[None]:
    """As `as_worker`, but without a savepoint of its own where the worker's transaction runs already.

    For a step of a service that is all done or raises before it writes: a savepoint costs two round trips.
    """
    before = current()
    if before is not None and before.role == WORKER and transaction.get_connection().in_atomic_block:
        yield
        return
    with as_worker():
        yield


def require_verified_binding() -> None:
    """Raise BindingRefused where no customer would see a row of theirs."""
    user_id = uuid7()
    with as_role(role=CUSTOMER, user_id=user_id) as context, connections[database_of(context)].cursor() as cursor:
        cursor.execute("SELECT app_user()")
        if cursor.fetchone() != (user_id,):
            raise BindingRefused("migrate with this process's SECRET_KEY, or start it with the database's")


def non_atomic_view[View: Callable[..., object]](view: View) -> View:
    """Mark a view that opens its own transactions, because it calls other systems between them."""
    view.is_non_atomic = True  # type: ignore[attr-defined]
    return view


@contextmanager
def _current_is(*contexts: TenantContext) -> Iterator[None]:
    """What `current()` returns in the block; None where no context is given."""
    token = _contexts.set((*_contexts.get(), *contexts) if contexts else ())
    try:
        yield
    finally:
        _contexts.reset(token)


@contextmanager
def _switched_to(context: TenantContext) -> Iterator[None]:
    """Set the role for the block. A rollback restores the previous role by itself; after a success we restore it."""
    alias = database_of(context)
    connection = transaction.get_connection(alias)
    if not connection.in_atomic_block:
        # What runs after commit runs as the worker, whatever context this block is in.
        contexts = _contexts.get()
        with _current_is(), transaction.atomic(using=alias):
            _set_local(context, is_first=True)
            with _current_is(*contexts, context):
                yield
        return
    before = next((each for each in reversed(_contexts.get()) if database_of(each) == alias), TenantContext(WORKER))
    with transaction.atomic(using=alias):
        _set_local(context)
        with _current_is(context):
            yield
        # A transaction marked for rollback accepts no further query, and its rollback restores the role anyway.
        if not connection.needs_rollback:
            _set_local(before)


def _set_local(context: TenantContext, *, is_first: bool = False) -> None:
    """Give the running transaction the context's role and, to a customer's, its binding.

    The binding is sent apart from its statement: as a parameter it is in no list of activities and in no log. Logins
    have the right role from the beginning: a customer's needs only its binding, a worker's first context nothing.
    """
    if context.role not in {CUSTOMER, STAFF, WORKER}:
        raise ValueError(f"{context.role} is not a role of ours")
    if context.role == WORKER and is_first:
        return
    connection = transaction.get_connection(database_of(context))
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(cast("psycopg.Connection", connection.connection)) as cursor:
        if context.role != CUSTOMER:
            cursor.execute("SELECT set_config('role', %s, true)", [context.role])
            return
        (name,) = cursor.execute(TRANSACTION).fetchone() or ("",)
        binding = signed_binding(name, context.user_id, context.organizations)
        if connection.alias == DEFAULT_DB_ALIAS:
            cursor.execute(
                "SELECT set_config('role', %s, true), set_config('app.binding', %s, true)", [CUSTOMER, binding]
            )
        else:
            cursor.execute("SELECT set_config('app.binding', %s, true)", [binding])
