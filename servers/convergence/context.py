"""What the steps of one round of convergence work on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import builds, capacity
from servers.capacity.resizing import ports_in_order
from servers.convergence import provisioning_log
from servers.drivers import base
from servers.models import Allocation, PanelAccount, Server

NOW = Reschedule(timedelta(0))
SOON = Reschedule(timedelta(seconds=2))
# For what takes minutes or hours and that we cannot end: a restore, a node under maintenance.
LATER = Reschedule(timedelta(seconds=30))
# The columns about a server's creation, as they were before it.
NOT_CREATED: dict[str, Any] = {
    "ref": "",
    "identifier": "",
    "create_asked_at": None,
    "create_missed_at": None,
    "create_note": {},
    "install_deadline_at": None,
    "installed_at": None,
    "running_at": None,
    "reinstall_asked_at": None,
    "start_asked_at": None,
    "is_install_doubtful": False,
    "vanished_at": None,
    "recreate_asked_at": None,
}


@dataclass(frozen=True)
class ConvergenceContext:
    """A server as it should be, and as its provider has it; `remote` is None where the provider has none."""

    server: Server
    driver: base.Driver
    spec: base.ServerSpec
    remote: base.RemoteServer | None
    has_holds: bool
    at: datetime
    is_provider_trusted: bool | None = None  # None: its other servers have not been asked about

    @property
    def existing(self) -> base.RemoteServer:
        """The remote server; only for steps that run when there is one."""
        if self.remote is None:
            raise ValueError(f"{self.server.pk} does not exist at the provider")
        return self.remote

    def record(self, **changes: Any) -> None:
        """See `provisioning_log.record`."""
        provisioning_log.record(self.server, at=self.at, **changes)


def spec_of(server: Server) -> base.ServerSpec:
    """The server as the provider should have it, as far as that is known: an account may have to be created first."""
    node, provider_id = server.node, server.blueprint.provider_id
    account = PanelAccount.objects.filter(user_id=server.owner_id, provider_id=provider_id).first()
    return base.ServerSpec(
        key=server.pk,
        attempt=server.create_attempts,
        name=server.name.strip(),
        kind=server.kind,
        limits=base.Limits(
            memory_mib=server.memory_mib,
            disk_mib=server.disk_mib,
            cpu_percent=server.cpu_percent,
            databases=server.databases_limit,
            backups=server.backups_limit,
        ),
        location_ref=node.location.ref if node else "",
        node_ref=node.ref if node and not node.is_elastic else None,
        allocations=tuple(port.ref for port in ports_of(server)),
        account=account_of(account) if account else None,
        build=builds.fixed_build(server),
    )


def account_of(row: PanelAccount) -> base.Account:
    """The account that a row is about."""
    return base.Account(row.ref, row.username, row.is_panel_admin, row.email)


def attempts_of(server: Server) -> list[base.Attempt]:
    """The creations that were asked for. What the provider answered is known of the last one."""
    earlier = [base.Attempt(number, "", "") for number in range(1, server.create_attempts)]
    # Of a creation that certainly did not happen the note would name what was made since for others.
    note = server.create_note if server.create_asked_at is not None else {}
    return [*earlier, base.Attempt(server.create_attempts, server.ref, server.identifier, note)]


def ports_of(server: Server) -> list[Allocation]:
    """The server's ports, its primary first. While it is made smaller, only those that it keeps."""
    if server.reservation is None:
        return []
    ports = ports_in_order(server.reservation.pk)
    is_shrinking = server.resize_asked_at is not None and server.reservation.ports > server.ports_limit
    return ports[: server.ports_limit] if is_shrinking else ports


def replace_ports(server: Server, refs: Iterable[str]) -> None:
    """Take other ports of the node for those that the provider gave elsewhere. Raises Rejected where it has none."""
    taken = set(refs)
    try:
        for port in ports_of(server):
            if port.ref in taken:
                capacity.replace_port(allocation_id=port.pk)
    except capacity.NoFreePort as error:
        reason = _("The provider gave this server's port to another server, and its node has no other free port.")
        raise outside.Rejected(reason) from error
