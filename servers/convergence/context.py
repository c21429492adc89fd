"""What one look at a server has brought together."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import capacity, provisioning_log
from servers.drivers import base
from servers.models import Allocation, PanelAccount, Server, ServerHold

NOW = Reschedule(timedelta(0))
SOON = Reschedule(timedelta(seconds=2))
# For what takes minutes or hours and is not ours to end: a restore, a node under maintenance.
LATER = Reschedule(timedelta(seconds=30))
# What a server remembers of its making, as it was before.
UNMADE: dict[str, Any] = {
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
    """A server as it should be, and as its provider has it; `seen` is None where it certainly has nothing."""

    server: Server
    driver: base.Provider
    seen: base.RemoteServer | None
    has_holds: bool
    at: datetime

    @property
    def present(self) -> base.RemoteServer:
        """What the provider has; only for steps that run when it has something."""
        if self.seen is None:
            raise ValueError(f"{self.server.pk} is not there")
        return self.seen

    def can(self, capability: base.Capability) -> bool:
        """Whether the provider offers this."""
        return capability in self.driver.capabilities

    def record(self, **what: Any) -> None:
        """See `provisioning_log.record`."""
        provisioning_log.record(self.server, at=self.at, **what)


def has_holds(server: Server) -> bool:
    """Whether any reason to keep the server suspended stands."""
    return ServerHold.objects.filter(server=server, lifted_at=None).exists()


def known_account(ctx: ConvergenceContext) -> base.Account | None:
    """The owner's account, where one was found or made before."""
    provider_id = ctx.server.blueprint.provider_id
    row = PanelAccount.objects.filter(user_id=ctx.server.owner_id, provider_id=provider_id).first()
    return base.Account(row.ref, row.username, row.is_panel_admin) if row else None


def spec_of(ctx: ConvergenceContext, account: base.Account) -> base.ServerSpec:
    """What the provider has to be told, all but what the server is built from. Rejected where no room is kept."""
    server = ctx.server
    ports = tuple(port.ref for port in ports_of(server))
    if not ports:
        raise outside.Rejected(_("No port is kept for this server."))
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


def swap_ports(ctx: ConvergenceContext, refs: Iterable[str]) -> None:
    """Other ports of the same node for those that the provider has given away. Raises capacity.NoFreePort."""
    lost = [port for port in ports_of(ctx.server) if port.ref in set(refs)]
    for port in lost:
        capacity.replace_port(allocation_id=port.pk)
