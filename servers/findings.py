"""What staff do about drift findings besides having convergence put them right: they ignore one, or delete what a
provider has that is no server of ours.
"""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from accounts.models import User
from core import audit, outside, tenancy, work
from core.ids import uuid_of
from core.models import WorkState
from core.work import Reschedule
from servers import inventory
from servers.drivers import registry
from servers.drivers.base import RemoteServer, RemoteState
from servers.drivers.inventory import RemoteServerSummary, ServerLookup
from servers.models import (
    DriftFinding,
    DriftKind,
    Node,
    Provider,
    RemoteDeletion,
    RemoteServerSeen,
    Server,
    ServerStatus,
)

LOOK_AGAIN = Reschedule(timedelta(seconds=10))


class NotDeletable(Exception):
    """The server is not deleted at its provider; the text says why, for staff."""


def ignore_finding(*, finding: DriftFinding, reason: str, actor: User | None, at: datetime) -> bool:
    """Say nothing of it until a sync finds something else there; False where it is closed or ignored already."""
    with tenancy.as_worker():
        row = DriftFinding.objects.select_for_update(no_key=True, of=("self",)).get(pk=finding.pk)
        if row.closed_at is not None or row.ignored_at is not None:
            return False
        row.ignored_at, row.ignored_by, row.ignore_reason = at, actor, reason
        row.save(update_fields=["ignored_at", "ignored_by", "ignore_reason"])
        new = {"kind": row.kind, "subject_ref": row.subject_ref, "reason": reason}
        audit.record(action="drift.ignore", entity=row, actor=actor, new=new, at=at)
    return True


def stop_ignoring(*, finding: DriftFinding, actor: User | None, at: datetime) -> bool:
    """Undo `ignore_finding`; False where it is not ignored."""
    with tenancy.as_worker():
        row = DriftFinding.objects.select_for_update(no_key=True, of=("self",)).get(pk=finding.pk)
        if row.ignored_at is None:
            return False
        reason = row.ignore_reason
        row.ignored_at, row.ignored_by, row.ignore_reason = None, None, ""
        row.save(update_fields=["ignored_at", "ignored_by", "ignore_reason"])
        audit.record(action="drift.stop_ignoring", entity=row, actor=actor, old={"reason": reason}, at=at)
    return True


def deletable_refs(finding: DriftFinding) -> list[str]:
    """The provider's numbers of what the finding is about and is no server of ours."""
    if finding.kind == DriftKind.ORPHAN:
        return [finding.subject_ref]
    if finding.kind == DriftKind.DUPLICATE and finding.server is not None and finding.server.ref:
        return [ref for ref in finding.found.split(", ") if ref != finding.server.ref]
    return []


def request_deletion(*, finding: DriftFinding, ref: str, actor: User | None, at: datetime) -> RemoteDeletion:
    """Have a worker delete the server with this number at the finding's provider. Raises NotDeletable.

    The node's lock comes first, as for an adoption: who comes second is refused.
    """
    with tenancy.as_worker():
        provider = Provider.objects.get(pk=finding.provider_id)
        seen = RemoteServerSeen.objects.filter(provider=provider, ref=ref, is_present=True).first()
        if finding.closed_at is not None or ref not in deletable_refs(finding) or seen is None:
            raise NotDeletable(_("The finding is closed, or the server is no longer there."))
        if seen.node_id is not None:
            Node.objects.select_for_update(no_key=True).get(pk=seen.node_id)
        if is_ours(provider, ref=ref, key=seen.key):
            raise NotDeletable(_("It is a server of this shop."))
        if not isinstance(registry.driver_of(provider), ServerLookup):
            raise NotDeletable(_("This provider cannot be asked about servers that are not ours. Delete it there."))
        named = {"provider": provider, "ref": ref, "node_id": seen.node_id, "identifier": seen.identifier}
        task, is_new = RemoteDeletion.objects.exclude(state=WorkState.DONE).get_or_create(
            provider=provider,
            ref=ref,
            defaults={**named, "name": finding.subject, "requested_by": actor, "run_at": at},
        )
        if is_new:
            new = {"kind": finding.kind, "ref": ref, "name": finding.subject}
            audit.record(action="drift.delete", entity=finding, actor=actor, new=new, at=at)
            work.wake_worker(RemoteDeletion)
    return task


def perform_deletion(task: RemoteDeletion, *, at: datetime) -> Reschedule | None:
    """The task's handler: look first, delete, and look again until it is gone. One of ours is never deleted."""
    driver = registry.driver_of(task.provider)
    if not isinstance(driver, ServerLookup):
        raise outside.Rejected(_("This provider cannot be asked about servers that are not ours. Delete it there."))
    found = driver.look_up(task.ref)
    if found is None:
        settle_deletion(task, at=at)
        return None
    require_same(task, found)
    driver.delete(RemoteServer(ref=found.ref, identifier=found.identifier, state=RemoteState.READY))
    return LOOK_AGAIN


def require_same(task: RemoteDeletion, found: RemoteServerSummary) -> None:
    """Raise Rejected where it is not what staff looked at, or is one of ours."""
    if found.identifier != task.identifier:
        raise outside.Rejected(_("Another server has this number there now."))
    if is_ours(task.provider, ref=found.ref, key=found.key):
        raise outside.Rejected(_("It is a server of this shop."))


def is_ours(provider: Provider, *, ref: str, key: str) -> bool:
    """Whether it is a server of ours, or may be one of which it is not known yet whether it was created."""
    kept = Server.objects.filter(blueprint__provider=provider).exclude(status=ServerStatus.DELETED)
    named = uuid_of(key)
    return kept.filter(ref=ref).exists() or (named is not None and kept.filter(pk=named, ref="").exists())


def settle_deletion(task: RemoteDeletion, *, at: datetime) -> None:
    """It is gone: its capacity is free, and its finding is closed."""
    with tenancy.as_worker():
        if task.node_id is not None:
            node = Node.objects.select_for_update(no_key=True).get(pk=task.node_id)
            RemoteServerSeen.objects.filter(provider=task.provider_id, ref=task.ref).update(is_present=False)
            inventory.recount(node)
        inventory.close_foreign_findings(task.provider_id, task.ref, at=at)
        new = {"provider": str(task.provider_id), "ref": task.ref, "name": task.name}
        audit.record(action="drift.deleted", entity=task, actor=task.requested_by, new=new, at=at)
