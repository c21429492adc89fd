"""Every write about servers. What should be is written here; convergence makes it so."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from accounts.models import Organization, User
from catalog.models import Plan
from core import audit, tenancy
from servers import provisioning_log
from servers.availability import Size
from servers.models import (
    Blueprint,
    DesiredState,
    HoldKind,
    Reservation,
    ReservationState,
    Server,
    ServerHold,
    ServerStatus,
    ServerVariable,
    Step,
)
from servers.power import PowerRefused, send_power_action
from servers.work import request_convergence, request_recheck

__all__ = [
    "NotKept",
    "PowerRefused",
    "create_server",
    "delete_server",
    "hold_server",
    "lift_hold",
    "rename_server",
    "request_convergence",
    "request_recheck",
    "retry",
    "send_power_action",
]


class NotKept(ValueError):
    """A server needs room that is kept for it."""


def create_server(
    *,
    organization: Organization,
    owner: User,
    name: str,
    blueprint: Blueprint,
    plan: Plan,
    size: Size,
    reservation: Reservation,
    databases: int,
    backups: int,
    variables: Mapping[str, str],
    at: datetime,
) -> Server:
    """The server that stands in the kept reservation, made at the first call. Raises NotKept."""
    with tenancy.as_worker():
        room = Reservation.objects.select_for_update(no_key=True).get(pk=reservation.pk)
        existing = Server.objects.filter(reservation=room).first()
        if existing is not None:
            return existing
        if room.state != ReservationState.CONFIRMED:
            raise NotKept(f"reservation {room.pk} is {room.state}")
        server = Server.objects.create(
            organization=organization,
            owner=owner,
            name=name,
            kind=plan.product.kind,
            blueprint=blueprint,
            plan=plan,
            node_id=room.node_id,
            reservation=room,
            cpu_percent=size.cpu_percent,
            memory_mib=size.memory_mib,
            disk_mib=size.disk_mib,
            ports_limit=size.ports,
            databases_limit=databases,
            backups_limit=backups,
        )
        _begin(server, variables, at)
    return server


def _begin(server: Server, variables: Mapping[str, str], at: datetime) -> None:
    ServerVariable.objects.bulk_create(
        ServerVariable(organization_id=server.organization_id, server=server, env_variable=name, value=value)
        for name, value in variables.items()
    )
    provisioning_log.write(server, Step.PLACED, at=at)
    new = {"name": server.name, "node": str(server.node_id), "memory_mib": server.memory_mib}
    audit.record(action="server.create", entity=server, actor=server.owner, new=new, at=at)
    request_convergence(server_id=server.pk, at=at)


def hold_server(*, server_id: UUID, kind: HoldKind, reason: str, actor: User | None, at: datetime) -> ServerHold:
    """Keep a server suspended until this hold is lifted. Calling it twice is harmless."""
    with tenancy.as_worker():
        server = _locked(server_id)
        hold, is_new = ServerHold.objects.get_or_create(
            server=server,
            kind=kind,
            lifted_at=None,
            defaults={
                "organization_id": server.organization_id,
                "reason": reason[:191],
                "placed_by": actor,
                "placed_at": at,
            },
        )
        if is_new:
            audit.record(action="server.hold", entity=server, actor=actor, new={"kind": kind, "reason": reason}, at=at)
            request_convergence(server_id=server_id, at=at)
    return hold


def lift_hold(*, server_id: UUID, kind: HoldKind, actor: User | None, at: datetime) -> bool:
    """Lift the hold of this kind, and only it; False when there is none. Others keep the server suspended."""
    with tenancy.as_worker():
        server = _locked(server_id)
        lifted = ServerHold.objects.filter(server=server, kind=kind, lifted_at=None).update(lifted_at=at)
        if lifted:
            audit.record(action="server.lift_hold", entity=server, actor=actor, new={"kind": kind}, at=at)
            request_convergence(server_id=server_id, at=at)
    return bool(lifted)


def delete_server(*, server_id: UUID, actor: User | None, at: datetime) -> None:
    """Take the server away for good, at the panel first; its room is given back at the end. Harmless twice."""
    with tenancy.as_worker():
        server = _locked(server_id)
        if server.desired_state == DesiredState.ABSENT:
            return
        Server.objects.filter(pk=server_id).update(desired_state=DesiredState.ABSENT)
        audit.record(action="server.delete", entity=server, actor=actor, old={"name": server.name}, at=at)
        request_convergence(server_id=server_id, at=at)


def rename_server(*, server_id: UUID, name: str, actor: User | None, at: datetime) -> None:
    """Give the server another name, here at once and on the panel soon."""
    with tenancy.as_worker():
        server = _locked(server_id)
        if server.name == name:
            return
        Server.objects.filter(pk=server_id).update(name=name)
        audit.record(
            action="server.rename", entity=server, actor=actor, old={"name": server.name}, new={"name": name}, at=at
        )
        request_convergence(server_id=server_id, at=at)


def retry(*, server_id: UUID, actor: User | None, at: datetime) -> bool:
    """Try again what failed: build, install again or make anew, as the panel requires; False if nothing failed."""
    with tenancy.as_worker():
        server = _locked(server_id)
        if server.status != ServerStatus.FAILED:
            return False
        audit.record(action="server.retry", entity=server, actor=actor, old={"failure": server.failure}, at=at)
        provisioning_log.try_again(server, at=at)
        request_convergence(server_id=server_id, at=at)
    return True


def _locked(server_id: UUID) -> Server:
    return Server.objects.select_for_update(no_key=True).get(pk=server_id)
