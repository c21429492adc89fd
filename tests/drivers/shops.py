"""What is sold at each provider: its row, and two sizes of servers there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from catalog.models import Plan
from sandbox.client import Sandbox
from servers.capacity import Size
from servers.models import Blueprint, Build, Operation, PowerTask, Provider, ProvisioningTask, RemoteDeletion
from tests.drivers.adapters import CONTAINER_IMAGE, cloud_provider, docker_provider, virtfusion_provider
from tests.drivers.linode import linode_provider
from tests.servers.actions import AN_HOUR, run_until_quiet
from tests.servers.builders import connect_panel, make_blueprint, make_game_blueprint, make_plan


@dataclass(frozen=True)
class Shop:
    """One provider: its row, what is bought there first, and what instead later."""

    provider: Callable[[Sandbox], Provider]
    size: Size
    built: dict[str, Any]
    larger: Size
    rebuilt: dict[str, Any]

    def sizes(self) -> list[tuple[Size, dict[str, Any]]]:
        """Both sizes, and how each is built."""
        return [(self.size, self.built), (self.larger, self.rebuilt)]


def docker(sandbox: Sandbox) -> Provider:
    """The stand-in's host."""
    return docker_provider(f"tcp://{sandbox.base_url.removeprefix('http://')}/docker/local")


CONTAINER = {
    "build": Build.CONTAINER,
    "egg": None,
    "image": CONTAINER_IMAGE,
    "startup": "httpd -f",
    "container_ports": [8080],
    "volumes": ["/data"],
}
GIB = 1024
SHOPS = {
    "pterodactyl": Shop(connect_panel, Size(1024, 4096, 100, 1), {}, Size(2048, 8192, 200, 1), {}),
    "digitalocean": Shop(
        cloud_provider,
        *(Size(GIB, 25 * GIB, 100, 0), {"plan_ref": "s-1vcpu-1gb", "image": "debian-12-x64"}),
        *(Size(2 * GIB, 50 * GIB, 100, 0), {"plan_ref": "s-1vcpu-2gb", "image": "debian-12-x64"}),
    ),
    "linode": Shop(
        linode_provider,
        *(Size(GIB, 25 * GIB, 100, 0), {"plan_ref": "g6-nanode-1", "image": "linode/debian12"}),
        *(Size(2 * GIB, 50 * GIB, 100, 0), {"plan_ref": "g6-standard-1", "image": "linode/debian12"}),
    ),
    "virtfusion": Shop(
        virtfusion_provider,
        *(Size(2 * GIB, 40 * GIB, 200, 0), {"plan_ref": "12", "image": "5"}),
        *(Size(4 * GIB, 80 * GIB, 400, 0), {"plan_ref": "13", "image": "5"}),
    ),
    "docker": Shop(docker, Size(64, GIB, 50, 1), CONTAINER, Size(96, GIB, 100, 1), CONTAINER),
}


def sold(provider: Provider, size: Size, parts: dict[str, Any]) -> tuple[Plan, Blueprint]:
    """A plan of that size, and how it is built."""
    sizes = {"memory_mib": size.memory_mib, "disk_mib": size.disk_mib, "cpu_percent": size.cpu_percent}
    plan = make_plan(**sizes, ports=size.ports)
    return plan, make_blueprint(provider, plan, **parts) if parts else make_game_blueprint(provider, plan)


def work(at: datetime, *, within: timedelta = AN_HOUR) -> None:
    """The workers do all that there is, and what comes due within that time."""
    run_until_quiet(at, within=within, models=(ProvisioningTask, PowerTask, Operation, RemoteDeletion))
