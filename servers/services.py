"""Every write about servers. The desired state is written here; convergence makes the panel agree."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import AccessLevel, Membership, Organization, Role, User
from catalog.models import Plan
from core import audit, tenancy
from servers import builds, events
from servers.capacity import Size
from servers.convergence import provisioning_log
from servers.convergence.scheduling import request_convergence
from servers.models import (
    DesiredState,
    DriftFinding,
    DriftKind,
    HoldKind,
    PanelAccount,
    Provider,
    ProvisioningStep,
    Reservation,
    ReservationState,
    Server,
    ServerAccess,
    ServerHold,
    ServerStatus,
    ServerVariable,
    Step,
)

__all__ = [
    "CapacityNotConfirmed",
    "NewServer",
    "accept_missing_servers",
    "correct_variables",
    "create_servers",
    "delete_servers",
    "give_access",
    "hold_servers",
    "lift_holds",
    "rename_server",
    "repair_drift",
    "request_convergence",
    "retry",
]


ACCEPT_MISSING_FOR = timedelta(hours=1)
# Convergence puts these right; it also says of a ghost that it is gone. The others need a person at the provider.
REPAIRABLE = frozenset(
    {
        *(DriftKind.GHOST, DriftKind.KEY, DriftKind.OWNER, DriftKind.LIMITS, DriftKind.NODE, DriftKind.SUSPENSION),
        *(DriftKind.ACCOUNT, DriftKind.EMAIL),
    }
)


class CapacityNotConfirmed(ValueError):
    """A server needs a confirmed reservation."""


@dataclass(frozen=True)
class NewServer:
    """What to create on a confirmed reservation."""

    organization: Organization
    owner: User
    name: str
    plan: Plan
    size: Size
    reservation: Reservation
    databases: int
    backups: int
    variables: Mapping[str, str]
    build: Mapping[str, Any] = field(default_factory=dict)

    def on(self, reservation: Reservation) -> Server:
        """The server to insert, on the node of its locked reservation."""
        return Server(
            organization=self.organization,
            owner=self.owner,
            name=self.name,
            kind=self.plan.product.kind,
            blueprint_id=reservation.blueprint_id,
            plan=self.plan,
            plan_ref=reservation.blueprint.plan_ref,
            build=self.build or builds.sold_build(reservation.blueprint),
            node_id=reservation.node_id,
            reservation=reservation,
            cpu_percent=self.size.cpu_percent,
            memory_mib=self.size.memory_mib,
            disk_mib=self.size.disk_mib,
            ports_limit=self.size.ports,
            databases_limit=self.databases,
            backups_limit=self.backups,
        )


def create_servers(requested: Sequence[NewServer], *, at: datetime) -> dict[UUID, Server]:
    """The servers by their reservations' ids, created at the first call. Raises CapacityNotConfirmed."""
    with tenancy.as_worker():
        locked = (
            Reservation.objects.select_for_update(no_key=True, of=("self",)).select_related("blueprint").order_by("pk")
        )
        reservations = locked.in_bulk([new.reservation.pk for new in requested])
        existing = Server.objects.filter(reservation__in=reservations)
        servers = {server.reservation_id: server for server in existing if server.reservation_id}
        missing = [new for new in requested if new.reservation.pk not in servers]
        for new in missing:
            reservation = reservations[new.reservation.pk]
            if reservation.state != ReservationState.CONFIRMED:
                raise CapacityNotConfirmed(f"reservation {reservation.pk} is {reservation.state}")
            servers[reservation.pk] = new.on(reservation)
        created = [servers[new.reservation.pk] for new in missing]
        if not created:
            return servers
        Server.objects.bulk_create(created)
        ServerVariable.objects.bulk_create(
            ServerVariable(organization=new.organization, server=server, env_variable=env_variable, value=value)
            for new, server in zip(missing, created, strict=True)
            for env_variable, value in new.variables.items()
        )
        ProvisioningStep.objects.bulk_create(
            ProvisioningStep(
                organization=new.organization, server=server, step=Step.PLACED, note=new.reservation.choice, at=at
            )
            for new, server in zip(missing, created, strict=True)
        )
        audit.record_batch(
            action="server.create",
            entities=created,
            actor=created[0].owner if len(created) == 1 else None,
            new={"name": [new.name for new in missing], "memory_mib": [new.size.memory_mib for new in missing]},
            at=at,
        )
        request_convergence(server_ids=[server.pk for server in created], at=at)
        return servers


def hold_servers(*, server_ids: Collection[UUID], kind: HoldKind, reason: str, actor: User | None, at: datetime) -> int:
    """Keep the servers suspended until these holds are lifted; how many had no hold of this kind.

    Calling it twice is harmless.
    """
    with tenancy.as_worker():
        servers = lock_servers(server_ids)
        in_force = ServerHold.objects.filter(server__in=servers, kind=kind, lifted_at=None)
        held = set(in_force.values_list("server_id", flat=True))
        added = [server for server in servers if server.pk not in held]
        if added:
            ServerHold.objects.bulk_create(
                ServerHold(
                    organization_id=server.organization_id,
                    server=server,
                    kind=kind,
                    reason=reason[:191],
                    placed_by=actor,
                    placed_at=at,
                )
                for server in added
            )
            new = {"kind": kind, "reason": reason}
            audit.record_batch(action="server.hold", entities=added, actor=actor, new=new, at=at)
            request_convergence(server_ids=[server.pk for server in added], at=at)
    return len(added)


def lift_holds(*, server_ids: Collection[UUID], kind: HoldKind, actor: User | None, at: datetime) -> int:
    """Lift the holds of this kind, and only them; how many servers had one. Other holds keep a server suspended."""
    with tenancy.as_worker():
        servers = lock_servers(server_ids)
        in_force = ServerHold.objects.filter(server__in=servers, kind=kind, lifted_at=None)
        held = set(in_force.values_list("server_id", flat=True))
        lifted = [server for server in servers if server.pk in held]
        if lifted:
            in_force.update(lifted_at=at)
            audit.record_batch(action="server.lift_hold", entities=lifted, actor=actor, new={"kind": kind}, at=at)
            request_convergence(server_ids=held, at=at)
    return len(lifted)


def delete_servers(*, server_ids: Collection[UUID], actor: User | None, at: datetime) -> int:
    """Delete the servers for good, at the panel first, then release their capacity; how many were not deleted before.

    Calling it twice is harmless.
    """
    with tenancy.as_worker():
        events.servers_deleted.send(Server, server_ids=list(server_ids), at=at)  # locks subscriptions: first
        kept = [server for server in lock_servers(server_ids) if server.desired_state != DesiredState.ABSENT]
        if kept:
            Server.objects.filter(pk__in=[server.pk for server in kept]).update(desired_state=DesiredState.ABSENT)
            names = kept[0].name if len(kept) == 1 else [server.name for server in kept]
            audit.record_batch(action="server.delete", entities=kept, actor=actor, old={"name": names}, at=at)
            request_convergence(server_ids=[server.pk for server in kept], at=at)
    return len(kept)


def rename_server(*, server: Server, name: str, actor: User | None, at: datetime) -> None:
    """Give the server another name, here at once and on the panel soon."""
    with tenancy.as_worker(server):
        events.servers_renamed.send(Server, server_ids=[server.pk], name=name, at=at)  # locks subscriptions: first
        locked = lock_server(server.pk)
        if locked.name == name:
            return
        Server.objects.filter(pk=locked.pk).update(name=name)
        audit.record(
            action="server.rename", entity=locked, actor=actor, old={"name": locked.name}, new={"name": name}, at=at
        )
        request_convergence(server_ids=[locked.pk], at=at)


def accept_missing_servers(*, provider_id: UUID, actor: User | None, at: datetime) -> None:
    """A person says that what this provider misses for the next hour is gone, so that it no longer waits."""
    with tenancy.as_worker():
        provider = Provider.objects.get(pk=provider_id)
        until = at + ACCEPT_MISSING_FOR
        Provider.objects.filter(pk=provider_id).update(missing_accepted_until=until, suspected_at=None)
        suspicions = DriftFinding.objects.filter(provider_id=provider_id, kind=DriftKind.MISSING, closed_at=None)
        suspicions.update(closed_at=at)
        audit.record(action="provider.accept_missing", entity=provider, actor=actor, at=at)


def repair_drift(*, finding: DriftFinding, actor: User | None, at: datetime) -> bool:
    """Have what a sync found put right; False where only a person at the provider can. A later sync closes it.

    An account that is gone there is forgotten here, so that its owner's servers find or create another.
    """
    with tenancy.as_worker():
        if finding.kind not in REPAIRABLE or finding.closed_at is not None:
            return False
        servers = Server.objects.filter(drift_findings=finding)
        if finding.kind in {DriftKind.ACCOUNT, DriftKind.EMAIL}:
            accounts = PanelAccount.objects.filter(provider_id=finding.provider_id, ref=finding.subject_ref)
            servers = Server.objects.filter(
                blueprint__provider_id=finding.provider_id, owner__in=list(accounts.values_list("user_id", flat=True))
            ).exclude(status=ServerStatus.DELETED)
            if finding.kind == DriftKind.ACCOUNT:
                accounts.delete()
        new = {"kind": finding.kind, "subject_ref": finding.subject_ref}
        audit.record(action="drift.repair", entity=finding, actor=actor, new=new, at=at)
        request_convergence(server_ids=list(servers.values_list("pk", flat=True)), at=at)
    return True


def retry(*, server_id: UUID, actor: User | None, at: datetime) -> bool:
    """Try again after a failure: create or install, as the panel requires; False if the server has not failed."""
    with tenancy.as_worker():
        server = lock_server(server_id)
        if server.status != ServerStatus.FAILED:
            return False
        audit.record(action="server.retry", entity=server, actor=actor, old={"failure": server.failure}, at=at)
        provisioning_log.retry_failed(server, at=at)
        if server.vanished_at is not None:  # the only place where what is gone may be created again: a person asked
            provisioning_log.record(server, at=at, recreate_asked_at=at)
        request_convergence(server_ids=[server_id], at=at)
    return True


def correct_variables(*, server_id: UUID, values: Mapping[str, str], actor: User | None, at: datetime) -> bool:
    """Give a failed server's egg variables these values and try again; False if the server has not failed.

    For staff: it may also set what customers cannot change. The audit trail keeps the names, not the values.
    """
    with tenancy.as_worker():
        if not retry(server_id=server_id, actor=actor, at=at):
            return False
        server = Server.objects.get(pk=server_id)
        for env_variable, value in values.items():
            ServerVariable.objects.update_or_create(
                server=server,
                env_variable=env_variable,
                defaults={"organization_id": server.organization_id, "value": value, "is_set_by_staff": True},
            )
        new = {"variables": sorted(values)}
        audit.record(action="server.correct_variables", entity=server, actor=actor, new=new, at=at)
    return True


def give_access(*, server: Server, user_id: UUID, level: AccessLevel | None, actor: User | None, at: datetime) -> bool:
    """Give a plain member of the server's organization this level of access to it, or none; False for anybody else."""
    with tenancy.as_worker(server):
        locked = lock_server(server.pk)
        owner = locked.organization_id
        if not Membership.objects.filter(organization=owner, user=user_id, role=Role.MEMBER).exists():
            return False
        rows = ServerAccess.objects.filter(server=locked, user=user_id)
        before = rows.values_list("level", flat=True).first()
        if level is None:
            rows.delete()
        elif level != before:
            ServerAccess.objects.update_or_create(
                server=locked, user_id=user_id, defaults={"organization_id": owner, "level": level}
            )
        if before != level:
            old, new = ({"member": str(user_id), "level": each or ""} for each in (before, level))
            audit.record(action="server.access", entity=locked, actor=actor, old=old, new=new, at=at)
    return True


def lock_servers(server_ids: Collection[UUID]) -> list[Server]:
    """The servers under their row locks, taken in the order of their ids, until the transaction ends."""
    return list(Server.objects.select_for_update(no_key=True).filter(pk__in=server_ids).order_by("pk"))


def lock_server(server_id: UUID) -> Server:
    """The server under its row lock, until the transaction ends."""
    return Server.objects.select_for_update(no_key=True).get(pk=server_id)
