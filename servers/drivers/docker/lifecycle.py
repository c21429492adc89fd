"""The steps of a container's life on one engine. Each may be cut off anywhere, and is then done again.

A container is replaced by a new one of the same name: the present one is renamed first and removed last, so that one of
the two is there at every moment, and a third never.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from docker import APIClient

from core import outside
from servers.drivers.base import AlreadyExists, ContainerBuild, NotOnNode, PortTaken
from servers.drivers.docker import containers
from servers.drivers.docker.containers import KEPT_STOPPED, KEY, MIB, NANO_PER_PERCENT, name_of
from servers.drivers.docker.engine import Engine
from servers.drivers.inventory import RemoteServerSummary, line

GRACE_SECONDS = 20  # for a program that is asked to stop
PORT_IN_USE = re.compile(r"already (in use|allocated)")
ID = re.compile(r"[0-9a-f]{64}")


def held(engine: Engine, key: UUID) -> dict[str, str]:
    """The containers that carry the key: their ids by their names. Usually one, the server's own name first."""
    wanted = {"label": [f"{KEY}={key}"]}
    listed = engine.read("containers", lambda client: client.containers(all=True, filters=wanted))
    found = {
        str((each.get("Names") or [each["Id"]])[0]).removeprefix("/"): str(each["Id"])
        for each in listed
        if (each.get("Labels") or {}).get(KEY) == str(key) and ID.fullmatch(str(each["Id"]))
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


def volumes(engine: Engine, key: UUID) -> list[str]:
    """The names of the volumes that carry the key, as far as they are names of ours."""
    wanted = {"label": [f"{KEY}={key}"]}
    listed = engine.read("volumes", lambda client: client.volumes(filters=wanted)).get("Volumes") or []
    ours = re.compile(rf"{name_of(key)}-[0-9]+")
    found = [str(each["Name"]) for each in listed if (each.get("Labels") or {}).get(KEY) == str(key)]
    return [name for name in found if ours.fullmatch(name)]


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


def make(engine: Engine, key: UUID, body: Mapping[str, Any]) -> list[str]:
    """Create the container under its name, not started; the volumes that were made with it. Raises AlreadyExists."""
    name, made = name_of(key), []
    for volume in [mount["Source"] for mount in body["HostConfig"]["Mounts"]]:
        present = engine.find("volume", lambda client, volume=volume: client.inspect_volume(volume))  # type: ignore[misc]
        if present is None:
            made.append(volume)
        elif (present.get("Labels") or {}).get(KEY) != str(key):  # it would be mounted as it is
            reason = _("The host {host} has a volume {name} that is not of this server.")
            raise outside.Rejected(reason.format(host=engine.host.name, name=volume))
    try:
        engine.write("create", lambda client: client.create_container_from_config(dict(body), name))
    except outside.Rejected as error:
        if error.status == 404:  # the image was there a moment ago
            raise outside.Unavailable(str(error), status=404) from None
        if error.status != 409:
            raise
        # One that is being created has its name, and is not to be seen yet.
        holder = engine.find("inspect", lambda client: client.inspect_container(name))
        if holder is None or (holder["Config"].get("Labels") or {}).get(KEY) == str(key):
            raise AlreadyExists(str(error), status=409) from None
        reason = _("The host {host} has a container {name} that is not of this shop.")
        raise outside.Rejected(reason.format(host=engine.host.name, name=name), status=409) from None
    detail = engine.find("inspect", lambda client: client.inspect_container(name))
    if detail is None:
        raise outside.Unknown(f"{engine.host.name}: the new container is gone")
    try:
        containers.require_taken(body, detail)
    except outside.Rejected:
        discard(engine, key, made)
        raise
    return made


def discard(engine: Engine, key: UUID, made: Sequence[str]) -> None:
    """Take back what `make` made. A volume that was there before has a customer's files, and stays."""
    remove(engine, name_of(key))
    for name in made:
        _remove_volume(engine, name)


def start(engine: Engine, container: str, ports: Sequence[str] = ()) -> None:
    """Start it; one that runs is fine. What a start that failed leaves can be started again. Raises PortTaken."""
    try:
        act(engine, "start", lambda client: client.start(container))
    except outside.Unknown as error:
        if error.status is None:
            raise
        text = str(error.body.get("message", ""))
        if ports and PORT_IN_USE.search(text):
            named = frozenset(port for port in ports if re.search(rf"\b{port}\b", text))
            raise PortTaken(str(error), named or frozenset(ports)) from None
        raise outside.Unavailable(str(error), status=error.status, body=error.body) from None


def update(engine: Engine, key: UUID, changed: Mapping[str, Any]) -> None:
    """Change limits or the restart policy of a container, which may run. Raises NotOnNode."""
    engine.post(f"/containers/{look(engine, key)['Id']}/update", changed)


def act(engine: Engine, call: str, request: Callable[[APIClient], Any]) -> None:
    """Change a container; one that already is so is fine. Raises NotOnNode."""
    try:
        engine.write(call, request)
    except outside.Rejected as error:
        if error.status == 404:
            raise NotOnNode(str(error), status=404) from None
        raise


def stop(engine: Engine, container: str) -> None:
    """Ask its program to stop, and end it after a while."""
    act(engine, "stop", lambda client: client.stop(container, timeout=GRACE_SECONDS))


def remove(engine: Engine, container: str) -> None:
    """Remove it, running or not; one that is gone is fine. Its named volumes stay."""
    _remove(engine, lambda client: client.remove_container(container, v=True, force=True))


def _remove_volume(engine: Engine, name: str) -> None:
    _remove(engine, lambda client: client.remove_volume(name))


def _remove(engine: Engine, request: Callable[[APIClient], Any]) -> None:
    try:
        engine.write("remove", request)
    except outside.Rejected as error:
        if error.status == 409:  # somebody removes it just now, or the volume's container
            raise outside.Unavailable(str(error), status=409) from None
        if error.status != 404:
            raise


def replace(engine: Engine, key: UUID, body_like: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """Replace the container by a new one over the same volumes, also one that somebody removed. Raises PortTaken."""
    name, old = name_of(key), f"{name_of(key)}.old"
    present = held(engine, key)
    if name in present and old in present:
        remove(engine, present.pop(name))  # what a replacement that was cut off had made
    detail = look(engine, key, present) if present else {}
    body = body_like(detail)
    if present and containers.is_suspended(detail):
        body["HostConfig"] = {**body["HostConfig"], "RestartPolicy": {"Name": KEPT_STOPPED}}
    if present and old not in present:
        act(engine, "rename", lambda client: client.rename(detail["Id"], old))
    make(engine, key, body)
    if present:
        _finish_replacing(engine, key)
    else:
        start(engine, name, containers.ports_of(body["Labels"]))


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
        act(engine, "rename", lambda client: client.rename(container, name))
    elif f"{name}.old" in present:
        _finish_replacing(engine, key)


def delete(engine: Engine, key: UUID) -> None:
    """Remove the containers and then the volumes that carry the key."""
    for container in held(engine, key).values():
        remove(engine, container)
    for name in volumes(engine, key):
        _remove_volume(engine, name)


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
            name=line(name),
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
