"""Running a block of code as a database role: always in a transaction, and never longer (safe with pooling)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from core.tenancy.roles import CUSTOMER, STAFF, WORKER

_current: ContextVar["TenantContext | None"] = ContextVar("tenancy", default=None)


@dataclass(frozen=True)
class TenantContext:
    """The database role of the running transaction, and for whom it works."""

    role: str
    user_id: UUID | None = None
    organizations: tuple[UUID, ...] = ()


def current() -> TenantContext | None:
    """The context in force; None for plain worker code."""
    return _current.get()


@contextmanager
def as_role(*, role: str, user_id: UUID | None = None, organizations: Iterable[UUID] = ()) -> Iterator[TenantContext]:
    """Run the block in a transaction as `role`, which sees what the user and the organizations may see."""
    context = TenantContext(role, user_id, tuple(organizations))
    with _switched_to(context):
        yield context


@contextmanager
def as_worker() -> Iterator[None]:
    """Run the block as the worker role: how a service writes on behalf of a customer, whose role can only read.

    It opens a transaction, or a savepoint inside a running one, so whatever the block writes is kept or undone as one.
    """
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
    if before is not None and before.role == WORKER and connection.in_atomic_block:
        yield
        return
    with as_worker():
        yield


def non_atomic_view[View: Callable[..., object]](view: View) -> View:
    """Mark a view that opens its own transactions, because it calls other systems between them."""
    view.is_non_atomic = True  # type: ignore[attr-defined]
    return view


@contextmanager
def _current_is(context: TenantContext) -> Iterator[None]:
    """What `current()` returns in the block. It is reset before anything that runs after commit."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def _switched_to(context: TenantContext) -> Iterator[None]:
    """Set the role for the block. A rollback restores the previous role by itself; after a success we restore it."""
    before, is_nested = current(), connection.in_atomic_block
    with transaction.atomic():
        _set_local(context)
        with _current_is(context):
            yield
        # A transaction marked for rollback accepts no further query, and its rollback restores the role anyway.
        if (before is not None or is_nested) and not connection.needs_rollback:
            _set_local(before or TenantContext(WORKER))


def _set_local(context: TenantContext) -> None:
    if context.role not in {CUSTOMER, STAFF, WORKER}:
        raise ValueError(f"{context.role} is not a role of ours")
    organizations = ",".join(str(organization) for organization in context.organizations)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('role', %s, true), set_config('app.user_id', %s, true),"
            " set_config('app.organizations', %s, true)",
            [context.role, str(context.user_id or ""), organizations],
        )
