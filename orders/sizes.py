"""How large a server becomes: the plan's size with what add-ons bring. MiB, and percent of a core."""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.models import Addon, AddonKind, Plan
from servers.capacity import Size


@dataclass(frozen=True)
class Limits:
    """The room a server takes on a node, and the counts its panel allows."""

    size: Size
    databases: int
    backups: int


def limits_of(plan: Plan, addons: Sequence[Addon] = ()) -> Limits:
    """The plan's limits, raised by each add-on's quantity of its kind."""

    def extra(kind: AddonKind) -> int:
        return sum(addon.quantity for addon in addons if addon.kind == kind)

    size = Size(
        memory_mib=plan.memory_mib + extra(AddonKind.MEMORY),
        disk_mib=plan.disk_mib + extra(AddonKind.DISK),
        cpu_percent=plan.cpu_percent,
        ports=plan.ports + extra(AddonKind.PORTS),
    )
    return Limits(size, plan.databases + extra(AddonKind.DATABASES), plan.backups + extra(AddonKind.BACKUPS))
