"""The audit trail: services record what they did; `verify` finds entries that were changed afterwards.

The database computes both hashes (core/migrations/0003_audit_chain.py): an entry's own at insert, without a lock, and
its link to the entries before it when the transaction commits. The one lock that orders the chain is then held only
briefly, and is taken after the row locks of the business transaction, so audited services do not deadlock on it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.db import connection, models, transaction

from core import tenancy
from core.masking import masked, storable
from core.models import AuditEntry

MAX_BREAKS = 1000
SYSTEM = "system"


@dataclass(frozen=True)
class AuditContext:
    """Where the actions of a request come from. `user` is called only when an entry is written."""

    ip: str | None = None
    user_agent: str = ""
    user: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class ChainBreak:
    """An entry that is not as it was written. `problem` is edited, deleted, inserted, unchained or cut off."""

    entry_id: int
    problem: str
    position: int | None = None


@dataclass(frozen=True)
class ChainHead:
    """The end of the chain. Stored elsewhere, it also shows that the newest entries were cut off."""

    position: int
    hash: str


_context: ContextVar[AuditContext] = ContextVar("audit_context", default=AuditContext())  # noqa: B039 - frozen


@contextmanager
def use_context(context: AuditContext) -> Iterator[None]:
    """Entries recorded in the block carry this context."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


class EntryFields(TypedDict, total=False):
    """What an entry can say beside its action and its rows.

    `actor` is a user, the name of a system (a gateway's), or None for the request's user. Values under names that look
    secret are masked.
    """

    organization: models.Model | UUID | None
    actor: Any
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    at: datetime | None


def record(*, action: str, entity: models.Model, **fields: Unpack[EntryFields]) -> AuditEntry:
    """Write one entry about one row. Without an `organization`, the entity's own `organization_id` is taken."""
    if fields.get("organization") is None:
        fields["organization"] = getattr(entity, "organization_id", None)
    return record_batch(action=action, entities=[entity], **fields)


def record_batch(*, action: str, entities: Sequence[models.Model], **fields: Unpack[EntryFields]) -> AuditEntry:
    """Write one entry in the caller's transaction about what was done to all these rows, which are of one model.

    An entry about several rows has no object ID: `metadata` holds their `count` and `ids`.
    """
    entry = new_entry(action=action, entities=entities, **fields)
    with tenancy.within_worker():
        entry.save(force_insert=True)
    return entry


def record_all(entries: Sequence[AuditEntry]) -> None:
    """Write several entries of `new_entry` in one statement."""
    with tenancy.within_worker():
        AuditEntry.objects.bulk_create(entries)


def new_entry(
    *,
    action: str,
    entities: Sequence[models.Model],
    organization: models.Model | UUID | None = None,
    actor: Any = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """The entry that `record_batch` writes, for `record_all`."""
    context = _context.get()
    # A user is stored by key only: the name of a person must not be in a record that cannot be erased.
    actor = context.user() if actor is None else actor
    actor_id = None if isinstance(actor, str) else getattr(actor, "pk", None)
    label = actor if isinstance(actor, str) else "" if actor_id is not None else SYSTEM
    owner_id = organization.pk if isinstance(organization, models.Model) else organization
    ids = [str(entity.pk) for entity in entities]
    several = {"count": len(ids), "ids": ids} if len(ids) > 1 else {}
    return AuditEntry(
        actor_id=actor_id,
        actor_label=label[:100],
        organization_id=owner_id if isinstance(owner_id, UUID) else None,
        action=action,
        entity_type=entities[0]._meta.label_lower,
        entity_id="" if several else ids[0],
        old=masked(old),
        new=masked(new),
        ip=context.ip,
        user_agent=storable(context.user_agent),
        metadata=masked({**(metadata or {}), **several}),
        **({"at": at} if at else {}),
    )


def verify(from_id: int | None = None, *, anchor: ChainHead | None = None) -> list[ChainBreak]:
    """Every place (at most 1000) where entries from `from_id` on were edited, deleted, inserted or unchained.

    `anchor` is a head noted earlier: it must still be where it was.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Link what this very transaction wrote, as its commit would.
        cursor.execute("SET CONSTRAINTS core_audit_chain IMMEDIATE")
        cursor.execute("SET CONSTRAINTS core_audit_chain DEFERRED")
        cursor.execute("SELECT * FROM core_audit_breaks(%s, %s)", [from_id or 0, MAX_BREAKS])
        breaks = [ChainBreak(entry_id, problem, position) for entry_id, problem, position in cursor.fetchall()]
        if anchor is not None:
            cursor.execute("SELECT hash FROM core_auditlink WHERE position = %s", [anchor.position])
            if cursor.fetchone() != (anchor.hash,):
                breaks.append(ChainBreak(0, "cut off", anchor.position))
        return breaks


def head() -> ChainHead | None:
    """The current end of the chain, None while it is empty."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT position, hash FROM core_auditlink ORDER BY position DESC LIMIT 1")
        row = cursor.fetchone()
    return ChainHead(*row) if row else None
