"""Recording what convergence did: columns, an entry of the provisioning log and the event, in one transaction."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.dispatch import Signal

from core import tenancy
from servers import events
from servers.drivers.base import RemoteServer
from servers.models import DesiredState, ProvisioningStep, Server, ServerStatus, Step

MAX_NOTE = 255


def record(
    server: Server,
    *,
    at: datetime,
    status: ServerStatus | None = None,
    step: Step | None = None,
    note: str = "",
    event: Signal | None = None,
    **columns: Any,
) -> None:
    """Update the server, log the step and send the event. The caller has the server's advisory lock.

    The event is sent before the server's row is written: receivers lock their own rows first, as their services do.
    """
    with tenancy.as_worker():
        if status is not None:
            server.transition_to(status)
            columns["status"] = status
        for name, value in columns.items():
            setattr(server, name, value)
        if step is not None:
            write(server, step, at=at, note=note)
        if event is not None:
            event.send(sender=Server, server_ids=[server.pk], at=at)
        if columns:
            Server.objects.filter(pk=server.pk).update(**columns)


def write(server: Server, step: Step, *, at: datetime, note: str = "") -> None:
    """Add an entry to the server's provisioning log."""
    ProvisioningStep.objects.create(
        organization_id=server.organization_id, server=server, step=step, note=note[:MAX_NOTE], at=at
    )


def observe(server: Server, remote: RemoteServer | None, *, at: datetime) -> None:
    """Store what the provider answered."""
    if remote is None:
        record(server, at=at, observed={}, observed_at=at)
    else:
        columns = {"vanished_at": None, "recreate_asked_at": None, **address_columns(remote)}
        record(server, at=at, observed=asdict(remote), observed_at=at, **columns)


def address_columns(remote: RemoteServer) -> dict[str, Any]:
    """The columns of a server's main address; none where the provider does not say."""
    if not remote.addresses:
        return {}
    main = remote.addresses[0]
    return {"ip": main.ip, "port": main.port, "address": str(main)}


def retry_failed(server: Server, *, at: datetime) -> None:
    """Make a failed server pending again. One that is to be deleted goes on being deleted in any case."""
    if server.status == ServerStatus.FAILED and server.desired_state == DesiredState.PRESENT:
        record(server, at=at, status=ServerStatus.PENDING, failure="")


def fail(server: Server, reason: str, *, at: datetime, variable_errors: Mapping[str, str] | None = None) -> None:
    """Mark the server failed, for staff to look at. The same failure again is not recorded again.

    `variable_errors` says what is wrong with which egg variable, where that is the reason.
    """
    reason = reason[:MAX_NOTE]
    if server.status in {ServerStatus.DELETED, ServerStatus.FAILED} and server.failure == reason:
        return
    with tenancy.as_worker():
        server.transition_to(ServerStatus.FAILED)
        server.failure = reason
        write(server, Step.FAILED, at=at, note=reason)
        events.servers_failed.send(sender=Server, server_ids=[server.pk], reason=reason, at=at)
        Server.objects.filter(pk=server.pk).update(
            status=server.status, failure=reason, variable_errors=dict(variable_errors or {})
        )
