"""Binding a piece of work to a role, always inside a transaction and never longer than it (safe under pooling)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from core.tenancy.roles import CUSTOMER, STAFF, WORKER

_current: ContextVar["Bound | None"] = ContextVar("tenancy", default=None)


@dataclass(frozen=True)
class Bound:
    """Whom the running transaction works for."""

    role: str
    user_id: UUID | None = None
    organizations: tuple[UUID, ...] = ()


def current() -> Bound | None:
    """The binding in force, None for plain worker code."""
    return _current.get()


@contextmanager
def bind(*, role: str, user_id: UUID | None = None, organizations: Iterable[UUID] = ()) -> Iterator[Bound]:
    """Run the block in a transaction as `role`, seeing only what the user and the organizations may see."""
    bound = Bound(role, user_id, tuple(organizations))
    with _entered(bound):
        yield bound


@contextmanager
def as_worker() -> Iterator[None]:
    """Run the block in a transaction as the worker role: how a service writes for a customer who may only read."""
    before = current()
    if before is None or before.role == WORKER:
        with transaction.atomic(), _known_as(before or Bound(WORKER)):
            yield
        return
    with _entered(Bound(WORKER, before.user_id, before.organizations)):
        yield


def non_atomic_view[View: Callable[..., object]](view: View) -> View:
    """Mark a view that opens its own transactions, because it talks to the outside between them."""
    view.is_in_steps = True  # type: ignore[attr-defined]
    return view


@contextmanager
def _known_as(bound: Bound) -> Iterator[None]:
    """What `current()` answers in the block; on the way out it is forgotten before anything that runs after commit."""
    token = _current.set(bound)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def _entered(bound: Bound) -> Iterator[None]:
    """Inside a savepoint, so that a failure takes the role back with it; a success gives it back by hand."""
    before, is_nested = current(), connection.in_atomic_block
    with transaction.atomic():
        _set_local(bound)
        with _known_as(bound):
            yield
        # Where the block is to be rolled back, that brings the old role back, and no query is accepted any more.
        if (before is not None or is_nested) and not connection.needs_rollback:
            _set_local(before or Bound(WORKER))


def _set_local(bound: Bound) -> None:
    if bound.role not in {CUSTOMER, STAFF, WORKER}:
        raise ValueError(f"{bound.role} is not a role of ours")
    organizations = ",".join(str(organization) for organization in bound.organizations)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('role', %s, true), set_config('app.user_id', %s, true),"
            " set_config('app.organizations', %s, true)",
            [bound.role, str(bound.user_id or ""), organizations],
        )
