"""What the shared suite needs of each provider: specs that it takes, faults, and what an admin does there."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from docker import APIClient

from core.ids import uuid7
from core.outside import Expect, OutsideSession
from sandbox.client import Sandbox
from sandbox.digitalocean.account import TOKEN
from servers.drivers import registry
from servers.drivers.abilities import AccountOwner, Accounts, ComparedCreation
from servers.drivers.base import (
    Account,
    Attempt,
    ContainerBuild,
    Driver,
    GameBuild,
    Limits,
    MachineBuild,
    RemoteServer,
    ServerSpec,
)
from servers.drivers.digitalocean import DigitalOceanDriver
from servers.drivers.docker import DockerDriver
from servers.drivers.pterodactyl.driver import PterodactylDriverWithClientKey
from servers.models import Provider
from tests.servers.actions import control
from tests.servers.builders import panel_keys

CONTAINER_IMAGE = "hosttest/bb:1"
# A real engine publishes them on this machine, for each test process its own.
FIRST_PORT = 25000 + 20 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
OWNER_ON_REAL_PANELS = UUID("5f0f7a52-6f0e-4c5e-9a53-6d1f0c2b7a11")
LIMITS = Limits(memory_mib=1024, disk_mib=4096, cpu_percent=150, databases=1, backups=2)


class Adapter(Protocol):
    """One provider with its stand-in."""

    can_fail: bool  # whether answers and requests can be lost
    keeps_names: bool  # whether the provider has a place for a server's name

    @property
    def driver(self) -> Driver:
        """Its driver."""

    def spec(self, **changes: Any) -> ServerSpec:
        """A server that can be created now."""

    def larger(self, spec: ServerSpec) -> ServerSpec:
        """The same server with more of everything."""

    def lose_answer(self) -> None:
        """The next creation is carried out, and its answer is lost."""

    def lose_request(self) -> None:
        """The next creation never arrives."""

    def erase_key(self, remote: RemoteServer) -> None:
        """An admin there removes our key from the server."""


class Panel:
    """A Pterodactyl panel; a real one where it has no stand-in."""

    keeps_names = True

    def __init__(self, url: str, keys: Mapping[str, str], sandbox: Sandbox | None = None) -> None:
        provider = Provider(kind="pterodactyl", name="P", base_url=url, credentials=dict(keys))
        driver = registry.driver_of(provider)
        assert isinstance(driver, PterodactylDriverWithClientKey)
        self.driver, self.sandbox, self.can_fail = driver, sandbox, sandbox is not None
        self._url, self._key = url, keys["application_key"]
        self.keys: set[Any] = set()  # of the servers that a test asked for
        egg = next(each for each in driver.eggs() if each.name in {"Minecraft Paper", "Paper"})
        values = {variable.env_variable: variable.default_value for variable in egg.variables}
        self.build = GameBuild(egg.ref, egg.first_image, egg.startup, values)
        ports = list(driver.allocations())
        self.node_ref = next(port.node_ref for port in ports if not port.is_assigned)
        self.free = tuple(port.ref for port in ports if port.node_ref == self.node_ref and not port.is_assigned)

    def account(self) -> Any:
        """A new account; on a real panel always the same one, which stays there."""
        key = uuid7() if self.sandbox else OWNER_ON_REAL_PANELS
        return self.driver.account_of(AccountOwner(key, f"player-{key.hex}@example.com", "Ada", "Byron"))

    def spec(self, **changes: Any) -> ServerSpec:
        """A game on the first ports that are free."""
        desired = ServerSpec(
            key=uuid7(),
            attempt=1,
            name="Castle",
            kind="game",
            limits=LIMITS,
            location_ref="1",
            node_ref=self.node_ref,
            allocations=self.free[:1],
            build=self.build,
        )
        account = changes.pop("account", None) or self.account()
        spec = replace(desired, account=account, **changes)
        self.keys.add(spec.key)
        return spec

    def larger(self, spec: ServerSpec) -> ServerSpec:
        """More memory and another port."""
        return replace(spec, limits=replace(LIMITS, memory_mib=2048, backups=7), allocations=self.free[:2])

    def lose_answer(self) -> None:
        assert self.sandbox is not None
        self.sandbox.arm("pterodactyl", "POST /api/application/servers", "lose_answer")

    def lose_request(self) -> None:
        assert self.sandbox is not None
        self.sandbox.arm("pterodactyl", "POST /api/application/servers", "drop")

    def erase_key(self, remote: RemoteServer) -> None:
        """A change of details that does not name the external id erases it."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._key}"}
        body = {"name": remote.facts["name"], "user": int(remote.facts["account_ref"])}
        session = OutsideSession("an admin", f"{self._url}/api/application", headers)
        session.call("PATCH", f"/servers/{remote.ref}/details", json=body)


def panel_sandbox(sandbox: Sandbox) -> Panel:
    """The stand-in of a panel, with installs and boots that take no time."""
    control(sandbox, "settings", {"install_seconds": 0, "power_seconds": 0, "stats_cache_seconds": 0})
    return Panel(sandbox.panel_url, panel_keys(sandbox), sandbox)


def cloud_provider(sandbox: Sandbox) -> Provider:
    """The stand-in of DigitalOcean as a provider that is not stored."""
    url = sandbox.digitalocean_url
    return Provider(kind="digitalocean", name="Cloud", base_url=url, credentials={"token": TOKEN})


class Cloud:
    """The stand-in of DigitalOcean, where everything is done at once."""

    can_fail = keeps_names = True

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        at_once = ("create_seconds", "address_seconds", "action_seconds", "tag_seconds", "list_seconds")
        calls = dict.fromkeys(("calls_per_hour", "calls_per_minute"), 1_000_000)
        self.set(**dict.fromkeys(at_once, 0), **calls)
        driver = registry.driver_of(cloud_provider(sandbox))
        assert isinstance(driver, DigitalOceanDriver)
        self.driver = driver

    def set(self, **settings: Any) -> None:
        """Change settings of the stand-in."""
        self.sandbox.digitalocean_settings(**settings)

    def finish(self) -> None:
        """Let all end that is under way, however long it takes."""
        self.sandbox.advance(10**7)
        self.state()
        self.sandbox.set_clock(None)

    def state(self) -> dict[str, Any]:
        """Everything that the account has."""
        return self.sandbox.digitalocean_state()

    def droplets(self) -> list[dict[str, Any]]:
        """The droplets that there are, the oldest first."""
        return [row for row in self.state()["droplets"].values() if row["_gone_at"] is None]

    def requests(self) -> list[str]:
        """What was asked, the oldest first."""
        return [f"{each['method']} {each['path']}" for each in self.sandbox.requests("digitalocean")]

    def actions(self) -> list[str]:
        """The types of all actions, the oldest first."""
        return [action["type"] for action in self.state()["actions"]]

    def spec(self, **changes: Any) -> ServerSpec:
        """A machine of the smallest size."""
        build = MachineBuild(plan_ref="s-1vcpu-1gb", image="debian-12-x64", root_password="Nb1secret")
        desired = ServerSpec(uuid7(), 1, "Castle", "vps", LIMITS, location_ref="sgp1", build=build)
        return replace(desired, **changes)

    def larger(self, spec: ServerSpec) -> ServerSpec:
        """The next size."""
        return replace(spec, build=MachineBuild(plan_ref="s-1vcpu-2gb", image="debian-12-x64"))

    def lose_answer(self) -> None:
        self.sandbox.arm("digitalocean", "POST /v2/droplets", "lose_answer")

    def lose_request(self) -> None:
        self.sandbox.arm("digitalocean", "POST /v2/droplets", "drop")

    def erase_key(self, remote: RemoteServer) -> None:
        """An admin takes all tags off the droplet."""
        resources = [{"resource_id": remote.ref, "resource_type": "droplet"}]
        session = OutsideSession("an admin", self.sandbox.digitalocean_url, {"Authorization": f"Bearer {TOKEN}"})
        for tag in remote.facts["tags"]:
            session.call("DELETE", f"/v2/tags/{tag}/resources", json={"resources": resources}, expects=Expect.NOTHING)


def virtfusion_provider(sandbox: Sandbox) -> Provider:
    """The stand-in of VirtFusion as a provider that is not stored."""
    token = sandbox.virtfusion_state()["token"]
    return Provider(kind="virtfusion", name="VF", base_url=sandbox.virtfusion_url, credentials={"token": token})


class VirtFusion:
    """The stand-in of VirtFusion, whose builds take no time."""

    can_fail = keeps_names = True

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.driver = sandbox, registry.driver_of(virtfusion_provider(sandbox))
        self.owner = AccountOwner(uuid7(), "ada@example.com", "Ada", "Byron")

    def account(self) -> Account:
        """Always the same one."""
        assert isinstance(self.driver, Accounts)
        return self.driver.account_of(self.owner)

    def spec(self, **changes: Any) -> ServerSpec:
        """A machine of the smallest package."""
        build = MachineBuild(plan_ref="12", image="5")
        desired = ServerSpec(uuid7(), 1, "Castle", "vps", LIMITS, location_ref="1", account=self.account(), build=build)
        return replace(desired, **changes)

    def larger(self, spec: ServerSpec) -> ServerSpec:
        """The next package."""
        limits = replace(LIMITS, memory_mib=4096, disk_mib=81920, cpu_percent=400)
        return replace(spec, limits=limits, build=MachineBuild(plan_ref="13", image="5"))

    def lose_answer(self) -> None:
        self.sandbox.arm("virtfusion", "POST /api/v1/servers", "lose_answer")

    def lose_request(self) -> None:
        self.sandbox.arm("virtfusion", "POST /api/v1/servers", "drop")

    def erase_key(self, remote: RemoteServer) -> None:
        self.sandbox.virtfusion_change(f"servers/{remote.ref}", name=remote.facts["name"])


def asked(adapter: Adapter, spec: ServerSpec) -> Attempt:
    """The first attempt at a creation, just before it is asked for."""
    driver = adapter.driver
    return Attempt(1, "", "", driver.before_create(spec) if isinstance(driver, ComparedCreation) else {})


def docker_provider(*addresses: str) -> Provider:
    """Hosts with a Docker Engine at these addresses, as a provider that is not stored. The first is `local`."""
    hosts = [
        {
            "name": "local" if number == 0 else f"host-{number}",
            "address": address,
            "location": "here",
            "memory_mib": 4096,
            "disk_mib": 40960,
            "ip": "127.0.0.1",
            "ports": f"{FIRST_PORT}-{FIRST_PORT + 19}",
        }
        for number, address in enumerate(addresses)
    ]
    return Provider(kind="docker", name="Docker", configuration={"hosts": hosts, "images": [CONTAINER_IMAGE]})


class Docker:
    """An engine; a real one where it has no stand-in. Another name that a container has erases its key."""

    keeps_names = False

    def __init__(self, address: str, sandbox: Sandbox | None = None) -> None:
        self.address, self.sandbox, self.can_fail = address, sandbox, sandbox is not None
        self.client = APIClient(address, version="1.41")
        self.keys: set[UUID] = set()  # of the containers that a test asked for
        self.ports = tuple(str(FIRST_PORT + number) for number in range(3))
        self.allow(CONTAINER_IMAGE)

    def allow(self, image: str) -> None:
        """The operator allows this image, and no other."""
        provider = docker_provider(self.address)
        provider.configuration["images"] = [image]
        driver = registry.driver_of(provider)
        assert isinstance(driver, DockerDriver)
        self.driver = driver

    def spec(self, **changes: Any) -> ServerSpec:
        """A program that listens on a port and keeps a folder."""
        build = ContainerBuild(CONTAINER_IMAGE, "httpd -f -p 8080 -h /data", (8080,), ("/data",), {"SECRET": "a b"})
        limits = Limits(memory_mib=64, disk_mib=1024, cpu_percent=50)
        desired = ServerSpec(uuid7(), 1, "Castle", "container", limits, "here", "local", self.ports[:1], build=build)
        spec = replace(desired, **changes)
        self.keys.add(spec.key)
        return spec

    def larger(self, spec: ServerSpec) -> ServerSpec:
        """More memory and cpu."""
        return replace(spec, limits=replace(spec.limits, memory_mib=96, cpu_percent=100))

    def lose_answer(self) -> None:
        assert self.sandbox is not None
        self.sandbox.arm("docker", "POST */containers/create", "lose_answer")

    def lose_request(self) -> None:
        assert self.sandbox is not None
        self.sandbox.arm("docker", "POST */containers/create", "drop")

    def erase_key(self, remote: RemoteServer) -> None:
        """The label stays: an engine cannot change one."""
        self.client.rename(remote.facts["names"][0], f"somebody-{uuid7().hex}")

    def clear(self) -> None:
        """Delete what the tests left."""
        for key in self.keys:
            if remote := self.driver.find(self.spec(key=key), []):
                self.driver.delete(remote)


def found(adapter: Adapter, spec: ServerSpec) -> RemoteServer:
    """The server, which must be there."""
    remote = adapter.driver.find(spec, [])
    assert remote is not None
    return remote


def near_key(key: UUID) -> UUID:
    """A key that differs in its last digit."""
    return UUID(int=key.int ^ 1)
