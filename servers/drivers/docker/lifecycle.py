"""The steps of a container's life on one engine. Each may be cut off anywhere, and is then done again.

A container is replaced by a new one of the same name: the present one is renamed first and removed last, so that one of
the two is there at every moment, and a third never.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import AlreadyExists, ContainerBuild, NotOnNode, PortTaken
from servers.drivers.docker import containers
from servers.drivers.docker.containers import DELETING, KEPT_STOPPED, KEY, MIB, NANO_PER_PERCENT, name_of
from servers.drivers.docker.engine import Engine
from servers.drivers.inventory import RemoteServerSummary

GRACE_SECONDS = 20  # for a program that is asked to stop
PORT_IN_USE = re.compile(r"already (in use|allocated)")
ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Volume:
    """A volume that carries a server's key."""

    name: str
    labels: Mapping[str, str]


def held(engine: Engine, key: UUID) -> dict[str, str]:
    """The containers that carry the key: their ids by their names. Usually one, the server's own name first."""
    wanted = {"label": [f"{KEY}={key}"]}
    listed = engine.read("containers", lambda client: client.containers(all=True, filters=wanted))
    found = {
        str(each["Names"][0]).removeprefix("/"): str(each["Id"])
        for each in listed
        if each.get("Names") and (each.get("Labels") or {}).get(KEY) == str(key) and ID.fullmatch(str(each["Id"]))
    }
    return dict(sorted(found.items(), key=lambda item: item[0] != name_of(key)))


def look(engine: Engine, key: UUID, known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The server's container in detail. Raises NotOnNode where there is none."""
    present = held(engine, key) if known is None else known
    if not present:
        raise NotOnNode(f"{engine.host.name} has no container {name_of(key)}", status=404)
    container = next(iter(present.values()))
    detail = engine.find("inspect", lambda client: client.inspect_container(container))
    if detail is None or detail["State"].get("Status") == "removing":
        raise outside.Unavailable(f"{engine.host.name}: {name_of(key)} is being removed")
    return dict(detail)


def volumes(engine: Engine, key: UUID) -> list[Volume]:
    """The volumes that carry the key and have a name of ours."""
    wanted = {"label": [f"{KEY}={key}"]}
    listed = engine.read("volumes", lambda client: client.volumes(filters=wanted)).get("Volumes") or []
    found = [Volume(str(each["Name"]), each.get("Labels") or {}) for each in listed]
    ours = re.compile(rf"{name_of(key)}-([0-9]+|deleting)")
    return [each for each in found if ours.fullmatch(each.name) and each.labels.get(KEY) == str(key)]


def require_image(engine: Engine, build: ContainerBuild) -> None:
    """Download the image where the host has none. Raises Rejected for one that would lose data."""
    image = engine.find("image", lambda client: client.inspect_image(build.image))
    if image is None:
        try:
            engine.pull(build.image)
        except outside.Rejected as error:
            reason = _("The registry does not give out the image {image}: {reason}")
            text = error.body.get("message", "")
            raise outside.Rejected(reason.format(image=build.image, reason=text), status=error.status) from None
        image = engine.find("image", lambda client: client.inspect_image(build.image))
        if image is None:
            raise outside.Unavailable(f"{engine.host.name} pulled {build.image} and does not have it")
    kept = {folder.rstrip("/") for folder in (image.get("Config") or {}).get("Volumes") or {}}
    if missing := sorted(kept - {folder.rstrip("/") for folder in build.volumes}):
        reason = _("The image {image} keeps data in {folders}. Add it to the volumes of the blueprint.")
        raise outside.Rejected(reason.format(image=build.image, folders=", ".join(missing)))


def require_own_volumes(engine: Engine, key: UUID, body: Mapping[str, Any]) -> None:
    """Raise Rejected where a volume of a name that is needed is somebody else's: it would be mounted as it is."""
    for mount in body["HostConfig"]["Mounts"]:
        name = mount["Source"]
        volume = engine.find("volume", lambda client, name=name: client.inspect_volume(name))  # type: ignore[misc]
        if volume is not None and (volume.get("Labels") or {}).get(KEY) != str(key):
            reason = _("The host {host} has a volume {name} that is not of this server.")
            raise outside.Rejected(reason.format(host=engine.host.name, name=name))


def create(engine: Engine, key: UUID, body: Mapping[str, Any]) -> None:
    """Create the container under its name; not started. Raises AlreadyExists, Rejected."""
    name = name_of(key)
    try:
        engine.write("create", lambda client: client.create_container_from_config(dict(body), name))
    except outside.Rejected as error:
        if error.status == 404:  # the image was there a moment ago
            raise outside.Unavailable(str(error), status=404) from None
        if error.status != 409:
            raise
        if name in held(engine, key):
            raise AlreadyExists(str(error), status=409) from None
        reason = _("The host {host} has a container {name} that is not of this shop.")
        raise outside.Rejected(reason.format(host=engine.host.name, name=name), status=409) from None
    detail = engine.find("inspect", lambda client: client.inspect_container(name))
    try:
        containers.require_taken(body, detail or {"HostConfig": {}})
    except outside.Rejected:
        remove(engine, name)
        raise


def start(engine: Engine, container: str, ports: Sequence[str] = ()) -> None:
    """Start it; one that runs is fine. What a start that failed leaves can be started again. Raises PortTaken."""
    try:
        _act(engine, "start", lambda client: client.start(container))
    except outside.Unknown as error:
        if error.status is None:
            raise
        text = str(error.body.get("message", ""))
        if ports and PORT_IN_USE.search(text):
            named = frozenset(port for port in ports if re.search(rf"\b{port}\b", text))
            raise PortTaken(str(error), named or frozenset(ports)) from None
        raise outside.Unavailable(str(error), status=error.status, body=error.body) from None


def stop(engine: Engine, container: str) -> None:
    """Ask its program to stop, and end it after a while; one that is off is fine."""
    _act(engine, "stop", lambda client: client.stop(container, timeout=GRACE_SECONDS))


def restart(engine: Engine, container: str) -> None:
    """Stop and start it."""
    _act(engine, "restart", lambda client: client.restart(container, timeout=GRACE_SECONDS))


def kill(engine: Engine, container: str) -> None:
    """End its program at once; one that ended meanwhile is fine."""
    try:
        _act(engine, "kill", lambda client: client.kill(container))
    except outside.Rejected as error:
        if error.status != 409:
            raise


def update(engine: Engine, key: UUID, changed: Mapping[str, Any]) -> None:
    """Change limits or the restart policy of a container, which may run. Raises NotOnNode."""
    engine.post(f"/containers/{look(engine, key)['Id']}/update", changed)


def _act(engine: Engine, call: str, request: Callable[[Any], Any]) -> None:
    try:
        engine.write(call, request)
    except outside.Rejected as error:
        if error.status == 404:
            raise NotOnNode(str(error), status=404) from None
        raise


def remove(engine: Engine, container: str) -> None:
    """Remove it, running or not; one that is gone is fine. Its named volumes stay."""
    try:
        engine.write("remove", lambda client: client.remove_container(container, v=True, force=True))
    except outside.Rejected as error:
        if error.status == 409:  # somebody removes it just now
            raise outside.Unavailable(str(error), status=409) from None
        if error.status != 404:
            raise


def replace(engine: Engine, key: UUID, body_like: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """Replace the container by a new one, over the same volumes. Raises NotOnNode, PortTaken."""
    name, old = name_of(key), f"{name_of(key)}.old"
    present = held(engine, key)
    if name in present and old in present:
        remove(engine, present.pop(name))  # what a replacement that was cut off had made
    detail = look(engine, key, present)
    body = body_like(detail)
    if containers.is_suspended(detail):
        body["HostConfig"] = {**body["HostConfig"], "RestartPolicy": {"Name": KEPT_STOPPED}}
    if old not in present:
        _act(engine, "rename", lambda client: client.rename(detail["Id"], old))
    create(engine, key, body)
    _finish_replacing(engine, key)


def _finish_replacing(engine: Engine, key: UUID) -> None:
    """The new container takes over: it needs the ports of the old one, which is removed only when it runs."""
    present = held(engine, key)
    new, old = present[name_of(key)], present[f"{name_of(key)}.old"]
    stop(engine, old)
    detail = look(engine, key, present)
    if not containers.is_suspended(detail):
        start(engine, new, containers.ports_of(detail["Config"]["Labels"]))
    remove(engine, old)


def settle_names(engine: Engine, key: UUID) -> None:
    """Give the container its name back, or finish a replacement that was cut off."""
    name, present = name_of(key), held(engine, key)
    if name not in present:
        container = look(engine, key, present)["Id"]
        _act(engine, "rename", lambda client: client.rename(container, name))
    elif f"{name}.old" in present:
        _finish_replacing(engine, key)


def delete(engine: Engine, key: UUID) -> None:
    """Remove the containers and then the volumes that carry the key.

    A volume cannot be removed before its container. So that it is not forgotten in between, an empty one says that the
    server is being deleted, and goes last.
    """
    mark = f"{name_of(key)}-deleting"
    names = [each.name for each in volumes(engine, key)]
    if names and mark not in names:
        labels = {KEY: str(key), DELETING: "1"}
        engine.write("mark", lambda client: client.create_volume(mark, labels=labels))
        names.append(mark)
    for container in held(engine, key).values():
        remove(engine, container)
    for name in sorted(names, key=lambda each: each == mark):
        try:
            engine.write("remove volume", lambda client, name=name: client.remove_volume(name))  # type: ignore[misc]
        except outside.Rejected as error:
            if error.status != 404:
                raise


def summaries(engine: Engine) -> Iterator[RemoteServerSummary]:
    """Every container of the host, ours or not."""
    for each in engine.read("containers", lambda client: client.containers(all=True)):
        container, labels = str(each["Id"]), each.get("Labels") or {}
        detail = engine.find("inspect", lambda client, each=container: client.inspect_container(each))  # type: ignore[misc]
        if detail is None:
            continue
        limits, name, key = detail["HostConfig"], str(detail["Name"]).removeprefix("/"), labels.get(KEY, "")
        is_ours = name == f"nb-{key.replace('-', '')}"
        yield RemoteServerSummary(
            ref=f"{engine.host.name}/{name if is_ours else container[:12]}",
            key=key,
            name=name[:191],
            node_ref=engine.host.name,
            memory_mib=int(limits.get("Memory") or 0) // MIB,
            disk_mib=containers.disk_of(labels),
            allocation_refs=tuple(sorted(containers.ports_of(labels))),
            cpu_percent=int(limits.get("NanoCpus") or 0) // NANO_PER_PERCENT,
            is_suspended=containers.is_suspended(detail) if key else None,
        )


def taken_ports(engine: Engine) -> Collection[int]:
    """The ports that containers have: ours also while they are off, others' while they run."""
    taken: set[int] = set()
    for each in engine.read("containers", lambda client: client.containers(all=True)):
        taken.update(int(port) for port in containers.ports_of(each.get("Labels")))
        taken.update(int(port["PublicPort"]) for port in each.get("Ports") or () if port.get("PublicPort"))
    return taken
