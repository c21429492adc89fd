"""The driver of Docker Engines: each host of the provider's configuration is a node, each server one container."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import AddonKind
from core import outside
from core.credentials import CredentialField
from servers.drivers.base import (
    Attempt,
    BuildFacts,
    ContainerBuild,
    Difference,
    DriverFacts,
    PortTaken,
    PowerAction,
    RemoteServer,
    RemoteState,
    ServerSpec,
    Usage,
    WrongState,
)
from servers.drivers.docker import containers, figures, lifecycle, logs
from servers.drivers.docker.containers import KEPT_RUNNING, KEPT_STOPPED
from servers.drivers.docker.engine import Engine
from servers.drivers.docker.settings import Settings, configuration_problem, settings_of
from servers.drivers.inventory import RemoteAllocation, RemoteLocation, RemoteNode, RemoteServerSummary
from servers.models import Build, Provider, Step

FACTS = DriverFacts(
    label="Docker Engine",
    builds={
        Build.CONTAINER: BuildFacts(addons=frozenset({AddonKind.CPU, AddonKind.MEMORY, AddonKind.PORTS})),
    },
    calls_per_minute=600,
    steps={
        Step.PLACED: gettext_lazy("Host assigned"),
        Step.CREATED: gettext_lazy("Image downloaded and container created"),
        Step.INSTALLED: gettext_lazy("Container started"),
        Step.RUNNING: gettext_lazy("Running"),
    },
    credentials=(
        CredentialField(
            "authority",
            gettext_lazy("Certificate authority of the hosts"),
            gettext_lazy("ca.pem. Hosts that another authority vouches for are refused."),
            is_multiline=True,
        ),
        CredentialField("certificate", gettext_lazy("Client certificate"), "cert.pem", is_multiline=True),
        CredentialField("key", gettext_lazy("Key of the client certificate"), "key.pem", is_multiline=True),
    ),
    has_address=False,
    configuration_problem=configuration_problem,
    reinstall_keeps_data=True,  # all that a container can write is in its volumes, which stay
)
log = logging.getLogger(__name__)


class DockerDriver:
    """The hosts of a provider. Credentials: `authority`, `certificate` and `key`, for all of them."""

    facts = FACTS

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._engines: dict[str, Engine] = {}

    @cached_property
    def _settings(self) -> Settings:
        if problem := configuration_problem(self._provider.configuration):
            # It says nothing about a server, and the operator mends it.
            raise outside.Unavailable(f"{self._provider.name}: {problem}")
        return settings_of(self._provider.configuration)

    def _engine(self, host_name: str) -> Engine:
        if host_name not in self._engines:
            host = self._settings.hosts.get(host_name)
            if host is None:
                raise outside.Unavailable(f"{self._provider.name} has no host {host_name[:24]} in its configuration")
            self._engines[host_name] = Engine(host, self._provider.credentials or {})
        return self._engines[host_name]

    def _named(self, ref: str) -> tuple[Engine, UUID]:
        """The engine and the key that an id of ours names; other text could change which call is made."""
        found = re.fullmatch(r"([a-z0-9-]{1,24})/nb-([0-9a-f]{32})", ref)
        if found is None:
            raise ValueError("the id of a container is its host and its name")
        return self._engine(found[1]), UUID(found[2])

    def allowed_images(self) -> list[str]:
        """The images of the configuration; none where that is not valid."""
        return [] if configuration_problem(self._provider.configuration) else list(self._settings.images)

    def image_problem(self, image: str) -> str:
        """Why no container is made from this image; empty where one may be."""
        if problem := configuration_problem(self._provider.configuration):
            return problem
        return (
            ""
            if image in self._settings.images
            else _("{image} is not among the images of the provider.").format(image=image)
        )

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """The container with our key as its label, on the host that it was placed on, or what is left of it."""
        places = [spec.node_ref or "", *(attempt.ref.partition("/")[0] for attempt in attempts)]
        for host_name in filter(None, dict.fromkeys(places)):
            if remote := self._find_on(self._engine(host_name), spec.key):
                return remote
        return None

    def _find_on(self, engine: Engine, key: UUID) -> RemoteServer | None:
        if held := lifecycle.held(engine, key):
            return containers.remote_server(engine.host, key, lifecycle.look(engine, key, held), list(held))
        if not lifecycle.volumes(engine, key):
            return None
        # Somebody removed its container, or its deletion was cut off.
        ref = containers.ref_of(engine.host, key)
        return RemoteServer(ref, ref, RemoteState.CREATED, node_ref=engine.host.name)

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Create it and start it. One whose start failed is there, and is started by whoever finds it off."""
        engine, build = self._engine(spec.node_ref or ""), _container_build(spec)
        if problem := self.image_problem(build.image):
            raise outside.Rejected(problem)
        body = containers.body_of(spec, build, engine.host, self._settings.images[build.image])
        lifecycle.require_image(engine, build)
        made = lifecycle.make(engine, spec.key, body)
        try:
            lifecycle.start(engine, containers.name_of(spec.key), spec.allocations)
        except PortTaken:
            lifecycle.discard(engine, spec.key, made)
            raise
        except outside.OutsideError as error:
            log.warning("a new container was not started: %s", error)
        return self._read_again(engine, spec.key)

    def _read_again(self, engine: Engine, key: UUID) -> RemoteServer:
        remote = self._find_on(engine, key)
        if remote is None:
            raise outside.Unknown(f"{engine.host.name}: the container was deleted while it was changed")
        return remote

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """An engine keeps no name of the customer's."""
        facts = remote.facts
        differs = {
            Difference.KEY: facts["names"] != [containers.name_of(spec.key)],
            Difference.SIZE: facts["resources"] != containers.resources(spec.limits)
            or facts["disk_mib"] != spec.limits.disk_mib
            or facts["is_half_suspended"],
            Difference.PORTS: facts["ports"] != list(spec.allocations),
        }
        return frozenset(difference for difference, is_there in differs.items() if is_there)

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """New limits reach the running container. For other ports and disk it is replaced, which takes some seconds."""
        engine, differences = self._engine(remote.node_ref or ""), self.differences(spec, remote)
        if Difference.PORTS in differences or remote.facts["disk_mib"] != spec.limits.disk_mib:
            self.reinstall(spec, remote)
        elif Difference.SIZE in differences:
            changed: dict[str, Any] = dict(containers.resources(spec.limits))
            if remote.facts["is_half_suspended"]:
                changed["RestartPolicy"] = {"Name": KEPT_RUNNING}
            lifecycle.update(engine, spec.key, changed)
        else:
            lifecycle.settle_names(engine, spec.key)
        return self._read_again(engine, spec.key)

    def delete(self, remote: RemoteServer) -> None:
        """Delete its container, then its volumes; already deleted is fine."""
        lifecycle.delete(*self._named(remote.ref))

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Make its container anew from its image, over the same volumes. Raises PortTaken.

        An image that is no longer allowed still serves those that were sold with it, as the user that it had.
        """
        engine, build = self._engine(remote.node_ref or ""), _container_build(spec)
        user = self._settings.images.get(build.image)
        lifecycle.require_image(engine, build)

        def body_like(present: Mapping[str, Any]) -> dict[str, Any]:
            if not user and not present:
                raise outside.Rejected(self.image_problem(build.image))
            return containers.body_of(spec, build, engine.host, user or present["Config"]["User"])

        lifecycle.replace(engine, spec.key, body_like)

    def last_lines(self, identifier: str) -> str:
        """The last lines of its output."""
        engine, key = self._named(identifier)
        return logs.last_lines(engine, lifecycle.look(engine, key)["Id"])

    def installs(self, identifier: str) -> list[str]:
        """Its container: another one is another installation."""
        engine, key = self._named(identifier)
        return [str(lifecycle.look(engine, key)["Id"])]

    def suspend(self, remote: RemoteServer) -> None:
        """Keep it stopped, also when its host starts again, and stop it. Raises NotOnNode."""
        engine, key = self._named(remote.ref)
        lifecycle.update(engine, key, {"RestartPolicy": {"Name": KEPT_STOPPED}})
        lifecycle.stop(engine, lifecycle.look(engine, key)["Id"])

    def resume(self, remote: RemoteServer) -> None:
        """Let it be started; nothing is started. Raises NotOnNode."""
        engine, key = self._named(remote.ref)
        lifecycle.update(engine, key, {"RestartPolicy": {"Name": KEPT_RUNNING}})

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it; stopping waits for the program. Raises WrongState, NotOnNode."""
        engine, key = self._named(identifier)
        present = lifecycle.look(engine, key)
        if containers.is_suspended(present):
            raise WrongState(f"{identifier} is suspended")
        container, seconds = present["Id"], lifecycle.GRACE_SECONDS
        match action:
            case PowerAction.START:
                lifecycle.start(engine, container)
            case PowerAction.STOP:
                lifecycle.stop(engine, container)
            case PowerAction.RESTART:
                lifecycle.act(engine, "restart", lambda client: client.restart(container, timeout=seconds))
            case PowerAction.KILL if present["State"].get("Running"):
                lifecycle.act(engine, "kill", lambda client: client.kill(container))

    def usage(self, identifier: str) -> Usage:
        """What it uses; nothing while it is off. Raises NotOnNode."""
        engine, key = self._named(identifier)
        return figures.usage_of(engine, lifecycle.look(engine, key))

    def locations(self) -> Iterator[RemoteLocation]:
        """The locations that the hosts name."""
        for code in dict.fromkeys(host.location for host in self._settings.hosts.values()):
            yield RemoteLocation(ref=code, code=code, name=code)

    def nodes(self) -> Iterator[RemoteNode]:
        """Every host."""
        for host in self._settings.hosts.values():
            yield RemoteNode(
                ref=host.name,
                location_ref=host.location,
                name=host.name,
                memory_mib=host.memory_mib,
                disk_mib=host.disk_mib,
                memory_overcommit_percent=0,
                disk_overcommit_percent=0,
                is_public=True,
                is_in_maintenance=False,
            )

    def servers(self) -> Iterator[RemoteServerSummary]:
        """Every container of every host, ours or not."""
        for host in self._settings.hosts:
            yield from lifecycle.summaries(self._engine(host))

    def allocations(self) -> Iterator[RemoteAllocation]:
        """The ports that the configuration gives each host."""
        for name, host in self._settings.hosts.items():
            taken = lifecycle.taken_ports(self._engine(name))
            for port in host.ports:
                yield RemoteAllocation(
                    ref=str(port), node_ref=name, ip=host.ip, alias="", port=port, is_assigned=port in taken
                )


def _container_build(spec: ServerSpec) -> ContainerBuild:
    if not isinstance(spec.build, ContainerBuild):
        raise outside.Rejected(_("A Docker Engine makes containers, and the blueprint is of something else."))
    return spec.build
