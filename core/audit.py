"""The audit trail: services record what they did; `verify` tells whether anyone touched the record since.

The database makes both hashes (core/migrations/0003_audit_chain.py): an entry's own at insert, without a lock, and its
link to the entries before it as the transaction commits. Chaining at commit keeps the one lock that orders the chain
short, and takes it after the row locks of the business transaction, so that audited services do not deadlock on it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

from core import tenancy
from core.masking import masked, storable
from core.models import AuditEntry

MAX_BREAKS = 1000
SYSTEM = "system"


@dataclass(frozen=True)
class Origin:
    """Where an act came from. `user` is asked only when an entry is written."""

    ip: str | None = None
    user_agent: str = ""
    user: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Break:
    """A place where the record is not as it was written. `problem` is edited, deleted, inserted or unchained."""

    entry_id: int
    problem: str
    position: int | None = None


@dataclass(frozen=True)
class Head:
    """The end of the chain; kept elsewhere it also reveals that the newest entries were cut off."""

    position: int
    hash: str


_origin: ContextVar[Origin] = ContextVar("audit_origin", default=Origin())  # noqa: B039 - frozen


@contextmanager
def acting_from(origin: Origin) -> Iterator[None]:
    """Entries recorded in the block came from here."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def record(
    *,
    action: str,
    entity: models.Model,
    organization: models.Model | UUID | None = None,
    actor: Any = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Write one entry in the caller's transaction.

    `actor` is a user, a name for what is not a person ("stripe"), or None for the request's user. Values under names
    that look secret are masked. Without an `organization`, the entity's own `organization_id` is taken.
    """
    origin = _origin.get()
    user, label = _actor(actor if actor is not None else origin.user())
    entry = AuditEntry(
        actor_id=user,
        actor_label=label[:100],
        organization_id=_organization_id(organization, entity),
        action=action,
        entity_type=entity._meta.label_lower,
        entity_id=str(entity.pk),
        old=masked(old),
        new=masked(new),
        ip=origin.ip,
        user_agent=storable(origin.user_agent),
        metadata=masked(metadata or {}),
        **({"at": at} if at else {}),
    )
    with tenancy.as_worker():
        entry.save(force_insert=True)
    return entry


def _actor(actor: Any) -> tuple[Any, str]:
    """The user's key and the label: a person's name stays out of a record that cannot be erased."""
    if isinstance(actor, str):
        return None, actor
    pk = getattr(actor, "pk", None)
    return (pk, "") if pk is not None else (None, SYSTEM)


def _organization_id(organization: models.Model | UUID | None, entity: models.Model) -> UUID | None:
    if organization is None:
        found = getattr(entity, "organization_id", None)
    else:
        found = organization.pk if isinstance(organization, models.Model) else organization
    return found if isinstance(found, UUID) else None


def verify(from_id: int | None = None, *, anchor: Head | None = None) -> list[Break]:
    """Every place (at most 1000) where entries from `from_id` on were edited, deleted, inserted or unchained.

    `anchor` is a head noted earlier: it must still be where it was.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _chain_pending(cursor)
        cursor.execute("SELECT * FROM core_audit_breaks(%s, %s)", [from_id or 0, MAX_BREAKS])
        breaks = [Break(entry_id, problem, position) for entry_id, problem, position in cursor.fetchall()]
        return breaks + _anchor_breaks(cursor, anchor)


def head() -> Head | None:
    """The present end of the chain, None while it is empty."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT position, hash FROM core_auditlink ORDER BY position DESC LIMIT 1")
        row = cursor.fetchone()
    return Head(*row) if row else None


def _chain_pending(cursor: Any) -> None:
    """Chain what this very transaction wrote, as its commit would."""
    cursor.execute("SET CONSTRAINTS core_audit_chain IMMEDIATE")
    cursor.execute("SET CONSTRAINTS core_audit_chain DEFERRED")


def _anchor_breaks(cursor: Any, anchor: Head | None) -> list[Break]:
    if anchor is None:
        return []
    cursor.execute("SELECT 1 FROM core_auditlink WHERE position = %s AND hash = %s", [anchor.position, anchor.hash])
    return [] if cursor.fetchone() else [Break(0, "cut off", anchor.position)]
