"""Writing down what convergence did and saw: columns, a journal line and the news, in one transaction."""

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
    news: Signal | None = None,
    **columns: Any,
) -> None:
    """Move the server and tell of it. The caller converges this server, so nobody else moves it.

    The news goes out before the server's row is written: receivers lock their own rows first, as their services do.
    """
    with tenancy.as_worker():
        if status is not None:
            server.transition_to(status)
            columns["status"] = status
        for name, value in columns.items():
            setattr(server, name, value)
        if step is not None:
            write(server, step, at=at, note=note)
        if news is not None:
            news.send(sender=Server, server=server, at=at)
        if columns:
            Server.objects.filter(pk=server.pk).update(**columns)


def write(server: Server, step: Step, *, at: datetime, note: str = "") -> None:
    """A line of the server's journal."""
    ProvisioningStep.objects.create(
        organization_id=server.organization_id, server=server, step=step, note=note[:MAX_NOTE], at=at
    )


def observe(server: Server, seen: RemoteServer | None, *, at: datetime) -> None:
    """Keep what the provider just told."""
    observed: dict[str, Any] = {}
    if seen is not None:
        observed = {**asdict(seen), "allocation_refs": sorted(seen.allocation_refs)}
    record(server, at=at, observed=observed, observed_at=at)


def try_again(server: Server, *, at: datetime) -> None:
    """A person wants what failed to be tried again. What should be gone simply goes on to go."""
    if server.status == ServerStatus.FAILED and server.desired_state == DesiredState.PRESENT:
        record(server, at=at, status=ServerStatus.PENDING, failure="")


def fail(server: Server, reason: str, *, at: datetime) -> None:
    """The server needs a person, and the reason says why. The same failure again is no news."""
    reason = reason[:MAX_NOTE]
    if server.status in {ServerStatus.DELETED, ServerStatus.FAILED} and server.failure == reason:
        return
    with tenancy.as_worker():
        server.transition_to(ServerStatus.FAILED)
        server.failure = reason
        write(server, Step.FAILED, at=at, note=reason)
        events.server_failed.send(sender=Server, server=server, reason=reason, at=at)
        Server.objects.filter(pk=server.pk).update(status=server.status, failure=reason)
