"""Giving a server another size: our row says so at once, convergence makes the provider agree."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import User
from catalog.models import Plan
from core import audit, tenancy
from servers import services
from servers.capacity import Growth, Size
from servers.convergence.scheduling import request_convergence
from servers.models import Blueprint, DesiredState, Server, ServerStatus
from servers.queries import blueprints_of_plan

# It was built, and nothing that has to end first is under way.
RESIZABLE = frozenset({ServerStatus.RUNNING, ServerStatus.STOPPED})


class NotResizable(ValueError):
    """The server is gone, or its provider cannot give it this size."""


@dataclass(frozen=True)
class NewSize:
    """What a server is to be: of which plan, built from which blueprint, and how large."""

    plan: Plan
    blueprint: Blueprint
    size: Size
    databases: int
    backups: int

    def columns(self) -> dict[str, object]:
        """The columns of the server's row."""
        return {
            "plan": self.plan,
            "blueprint": self.blueprint,
            "plan_ref": self.blueprint.plan_ref,
            "cpu_percent": self.size.cpu_percent,
            "memory_mib": self.size.memory_mib,
            "disk_mib": self.size.disk_mib,
            "ports_limit": self.size.ports,
            "databases_limit": self.databases,
            "backups_limit": self.backups,
        }


def blueprint_for_plan(server: Server, plan: Plan) -> Blueprint | None:
    """The blueprint by which the server can become one of the plan, at its provider and without installing it again.

    None where there is none. The caller has joined the server's blueprint.
    """
    old = server.blueprint
    for new in blueprints_of_plan(plan):
        is_same_build = (new.provider_id, new.build, new.egg_id, new.image) == (
            *(old.provider_id, old.build, old.egg_id),
            old.image,
        )
        if new.pk == old.pk or is_same_build:
            return new
    return None


def growth_of(server: Server, size: Size) -> Growth:
    """What the server would take of its node beyond what it has."""
    return Growth(
        memory_mib=max(0, size.memory_mib - server.memory_mib),
        disk_mib=max(0, size.disk_mib - server.disk_mib),
        ports=max(0, size.ports - server.ports_limit),
    )


def resize_server(*, server_id: UUID, new: NewSize, actor: User | None, at: datetime) -> bool:
    """Let the server have another size from now on; False where it has it already. What it grows by is reserved.

    What it has less is returned to its node once the provider has made it smaller (`servers_resized`). Raises
    NotResizable where it is being deleted.
    """
    with tenancy.as_worker():
        server = services.lock_server(server_id)
        if server.desired_state == DesiredState.ABSENT:
            raise NotResizable(f"{server} is being deleted")
        columns = new.columns()
        old = {name: getattr(server, name) for name in columns}
        if old == columns:
            return False
        Server.objects.filter(pk=server_id).update(**columns, resize_asked_at=at)
        changed = sorted(name for name in columns if old[name] != columns[name])
        audit.record(
            action="server.resize",
            entity=server,
            actor=actor,
            old={name: str(old[name]) for name in changed},
            new={name: str(columns[name]) for name in changed},
            at=at,
        )
        request_convergence(server_ids=[server_id], at=at)
    return True
