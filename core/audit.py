"""The audit trail: services record what they did; `verify` finds what was changed afterwards.

Nothing about a person is in the chain: values, texts, address and browser are details, which can be erased.

The database computes both hashes (core/migrations/0003_audit_chain.py): an entry's own at insert, without a lock, and
its link to the entries before it when the transaction commits. The one lock that orders the chain is then held only
briefly, and is taken after the row locks of the business transaction, so audited services do not deadlock on it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.db import DatabaseError, connection, models
from django.db.models import Q

from core import audit_checkpoints, tenancy
from core.audit_checkpoints import ChainHead
from core.masking import masked, storable
from core.models import AuditEntry, Outcome

log = logging.getLogger(__name__)
MAX_BREAKS = 1000
SYSTEM = "system"
ERASED = {"old": None, "new": None, "ip": None, "user_agent": "", "message": "", "salt": None}


@dataclass(frozen=True)
class AuditContext:
    """Where the actions of a request come from. `user` is called only when an entry is written."""

    ip: str | None = None
    user_agent: str = ""
    user: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class ChainBreak:
    """A place where the trail is not as it was written.

    `problem` is edited, details missing, deleted, inserted, unchained, cut off, rebuilt, unsigned or forged checkpoint.
    """

    entry_id: int
    problem: str
    position: int | None = None


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
    secret are masked. `metadata` is chained and cannot be erased: ids and counts only.
    """

    organization: models.Model | UUID | None
    actor: Any
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    message: str
    outcome: Outcome
    metadata: Mapping[str, Any] | None
    at: datetime | None


def record(*, action: str, entity: models.Model, **fields: Unpack[EntryFields]) -> AuditEntry:
    """Write one entry about one row, in the caller's transaction: both are kept, or neither."""
    return record_batch(action=action, entities=[entity], **fields)


def record_informational(*, action: str, entity: models.Model, **fields: Unpack[EntryFields]) -> None:
    """As `record`, for an entry that only informs: where it cannot be written, the log says so and the act goes on."""
    try:
        with tenancy.as_worker():
            record(action=action, entity=entity, **fields)
    except DatabaseError:
        log.exception("the audit entry %s of %s was not written", action, entity.pk)


def record_batch(
    *,
    action: str,
    entities: Sequence[models.Model],
    organization: models.Model | UUID | None = None,
    actor: Any = None,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    message: str = "",
    outcome: Outcome = Outcome.OK,
    metadata: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> AuditEntry:
    """Write one entry in the caller's transaction about what was done to all these rows, which are of one model.

    Without an `organization`, the one that owns them all is taken. An entry about several rows has no object ID:
    `metadata` holds their `count` and `ids`, and `organizations` where several own them. `at` is when it was done, as
    the act was told; without it the database's time, for acts that keep no time, such as a changed setting.
    """
    context = _context.get()
    # A user is stored by key only: the name of a person must not be in a record that cannot be erased.
    actor = context.user() if actor is None else actor
    actor_id = None if isinstance(actor, str) else getattr(actor, "pk", None)
    label = actor if isinstance(actor, str) else "" if actor_id is not None else SYSTEM
    several = batch_metadata(entities)
    entry = AuditEntry(
        actor_id=actor_id,
        actor_label=label[:100],
        organization_id=owner_of(entities) if organization is None else getattr(organization, "pk", organization),
        action=action,
        entity_type=entities[0]._meta.label_lower,
        entity_id="" if several else str(entities[0].pk),
        outcome=outcome,
        changed=sorted({*map(str, old or ()), *map(str, new or ())}),
        metadata=masked({**(metadata or {}), **several}),
        old=masked(old),
        new=masked(new),
        message=storable(message)[:400],
        ip=context.ip,
        user_agent=storable(context.user_agent),
        **({"at": at} if at else {}),
    )
    with tenancy.within_worker():
        entry.save(force_insert=True)
    return entry


def owner_of(entities: Sequence[models.Model]) -> UUID | None:
    """The key of the organization that owns all these rows; None where there is none or several."""
    owners = {getattr(entity, "organization_id", None) for entity in entities}
    owner = owners.pop() if len(owners) == 1 else None
    return owner if isinstance(owner, UUID) else None


def batch_metadata(entities: Sequence[models.Model]) -> dict[str, Any]:
    """What an entry about several rows says of them; their owners are needed to find what must be erased."""
    if len(entities) == 1:
        return {}
    owners = {owner for entity in entities if isinstance(owner := getattr(entity, "organization_id", None), UUID)}
    organizations = {"organizations": sorted(map(str, owners))} if owner_of(entities) is None and owners else {}
    return {"count": len(entities), "ids": [str(entity.pk) for entity in entities], **organizations}


def erase_details(*, entities: Sequence[models.Model], actor: Any, at: datetime) -> int:
    """Erase the details of every entry by or about these rows (a user, their organization); the number of entries.

    The entries themselves stay in the chain, which says that this was done to them. Those about rows of several
    organizations lose the details of all: nothing tells whose they are.
    """
    about = Q(pk__in=[])
    for entity in entities:
        about |= Q(actor_id=entity.pk) | Q(organization_id=entity.pk)
        about |= Q(metadata__organizations__contains=[str(entity.pk)])
        about |= Q(entity_type=entity._meta.label_lower, entity_id=str(entity.pk))
    with tenancy.as_worker():
        rows = AuditEntry.objects.filter(about, salt__isnull=False)
        erased = list(rows.order_by("pk").values_list("pk", flat=True))
        AuditEntry.objects.filter(pk__in=erased).update(**ERASED)
        record(action="audit.erase", entity=entities[0], actor=actor, metadata={"erased": erased}, at=at)
    return len(erased)


def verify(from_id: int | None = None, *, anchor: ChainHead | None = None) -> list[ChainBreak]:
    """Every place (at most 1000) where entries from `from_id` on are not as they were written, and heads that are gone.

    `anchor` is a head noted earlier: it must still be where it was, as those must be that were signed or kept.
    """
    with tenancy.as_worker(), connection.cursor() as cursor:
        # Link what this very transaction wrote, as its commit would.
        cursor.execute("SET CONSTRAINTS core_audit_chain IMMEDIATE")
        cursor.execute("SET CONSTRAINTS core_audit_chain DEFERRED")
        cursor.execute("SELECT * FROM core_audit_breaks(%s, %s)", [from_id or 0, MAX_BREAKS])
        breaks = [ChainBreak(entry_id, problem, position) for entry_id, problem, position in cursor.fetchall()]
        return breaks + [
            ChainBreak(0, problem, position) for position, problem in audit_checkpoints.broken_heads(anchor)
        ]
