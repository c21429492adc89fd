"""What the steps of one round of convergence work on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import capacity
from servers.convergence import provisioning_log
from servers.drivers import base
from servers.models import Allocation, Server

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
    "install_deadline_at": None,
    "installed_at": None,
    "running_at": None,
    "reinstall_asked_at": None,
    "start_asked_at": None,
    "is_install_doubtful": False,
}


@dataclass(frozen=True)
class ConvergenceContext:
    """A server as it should be, and as its provider has it; `remote` is None where the provider has none."""

    server: Server
    driver: base.Driver
    remote: base.RemoteServer | None
    has_holds: bool
    at: datetime

    @property
    def existing(self) -> base.RemoteServer:
        """The remote server; only for steps that run when there is one."""
        if self.remote is None:
            raise ValueError(f"{self.server.pk} does not exist at the provider")
        return self.remote

    def can(self, capability: base.Capability) -> bool:
        """Whether the provider offers this."""
        return capability in self.driver.capabilities

    def record(self, **changes: Any) -> None:
        """See `provisioning_log.record`."""
        provisioning_log.record(self.server, at=self.at, **changes)


def spec_of(ctx: ConvergenceContext, account: base.Account) -> base.ServerSpec:
    """The server as the provider should have it. Raises Rejected where no port is reserved."""
    server = ctx.server
    ports = tuple(port.ref for port in ports_of(server))
    if not ports:
        raise outside.Rejected(_("No port is reserved for this server."))
    return base.ServerSpec(
        key=server.pk,
        name=server.name.strip(),
        account=account,
        limits=base.Limits(
            memory_mib=server.memory_mib,
            disk_mib=server.disk_mib,
            cpu_percent=server.cpu_percent,
            databases=server.databases_limit,
            backups=server.backups_limit,
        ),
        allocations=ports,
    )


def ports_of(server: Server) -> list[Allocation]:
    """The server's ports, its primary first."""
    rows = Allocation.objects.filter(reservation__server=server)
    return list(rows.order_by("-is_primary", "port", "ip"))


def replace_ports(server: Server, refs: Iterable[str]) -> None:
    """Take other ports of the node for those that the panel assigned elsewhere. Raises Rejected where it has none."""
    taken = set(refs)
    try:
        for port in ports_of(server):
            if port.ref in taken:
                capacity.replace_port(allocation_id=port.pk)
    except capacity.NoFreePort as error:
        reason = _("The panel assigned this server's port to another server, and its node has no other free port.")
        raise outside.Rejected(reason) from error
