"""A machine or a container that its customer has built anew: what the worker does, and what becomes of our rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import SshKey, User
from core import audit, outside, tenancy
from servers import builds, pulls, services
from servers.convergence.context import attempts_of, spec_of
from servers.convergence.loop import read_server
from servers.drivers import registry
from servers.drivers.abilities import AllowedImages
from servers.drivers.base import DriverFacts, MachineBuild, NotOnNode
from servers.locks import advisory_lock
from servers.models import BlueprintImage, Build, Server
from servers.self_service import kept

BUSY_SECONDS = 2  # convergence looks at the server


@dataclass(frozen=True)
class RebuildOptions:
    """What a server may be built from: images by the provider's name, the present one first, and SSH keys by an id,
    each a line and what it is called. `chosen` are the ids of the keys that it has.
    """

    build: Build
    facts: DriverFacts
    images: Mapping[str, str]
    keys: Mapping[str, tuple[str, str]]
    chosen: Sequence[str]

    @property
    def asks_for_keys(self) -> bool:
        """Whether a rebuild decides who may sign in."""
        return self.build == Build.MACHINE and not self.facts.rebuild_keeps_access


def options_of(server: Server, driver: object, user: User) -> RebuildOptions:
    """What the user may choose for the server. Keys that others put on it stay offered, so that they can be kept."""
    with tenancy.as_worker(server):
        row = Server.objects.select_related("blueprint__provider").get(pk=server.pk)
        offered = BlueprintImage.objects.filter(
            blueprint=row.blueprint, image__is_active=True, image__plans=row.plan_id
        )
        offered = offered.select_related("image").order_by("image__position", "pk")
        named = {each.ref: str(each.image) for each in offered}
        own = list(SshKey.objects.filter(user_id=user.pk))
    build = row.build or builds.sold_build(row.blueprint)
    present = build["image"]
    if isinstance(driver, AllowedImages):
        allowed = driver.allowed_images()
        others = {ref: name for ref, name in named.items() if ref in allowed}
        named = others or {ref: ref for ref in allowed if repository(ref) == repository(present)}
    keys = {str(key.pk): (key.line, key.name) for key in own}
    lines = {line: pk for pk, (line, _name) in keys.items()}
    present_lines = build.get("ssh_keys", [])
    for number, line in enumerate(each for each in present_lines if each not in lines):
        lines[line] = f"present-{number}"
        keys[lines[line]] = (line, line.partition(" ")[2].partition(" ")[2] or line[:20])
    images = {present: named.get(present, present), **named}
    facts = registry.facts()[row.blueprint.provider.kind]
    return RebuildOptions(Build(row.blueprint.build), facts, images, keys, [lines[line] for line in present_lines])


def repository(image: str) -> str:
    """An image's name without its tag and digest: other versions of the same program have it, too."""
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return f"{folder}{slash}{name.partition(':')[0]}"


def new_content() -> dict[str, str]:
    """The root password of a machine, which is known before it is built: an answer may be lost."""
    return {"root_password": builds.new_root_password()}


def rebuild(driver: Any, server_id: UUID | None, arguments: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Have it built from what was chosen. Convergence looks at it before or after this, never meanwhile.

    Raises Unavailable while it does, NotOnNode for a server that is gone. Not safe to repeat.
    """
    with advisory_lock(f"server:{server_id}") as is_locked:
        if not is_locked or server_id is None:
            raise outside.Unavailable("convergence is at work on this server", retry_after=BUSY_SECONDS)
        server = read_server(server_id)
        server.build = {**(server.build or builds.sold_build(server.blueprint)), **arguments}
        spec = spec_of(server)
        if isinstance(spec.build, MachineBuild):
            spec = replace(spec, build=replace(spec.build, root_password=content["root_password"]))
        remote = driver.find(spec, attempts_of(server))
        if remote is None:
            raise NotOnNode("the provider has no such server")
        with pulls.shown_of(server):
            driver.reinstall(spec, remote)


def keep(server: Server, arguments: Mapping[str, Any], content: Mapping[str, Any], *, at: datetime) -> None:
    """What the server is built from now, and its password."""
    locked, facts = services.lock_server(server.pk), registry.driver_of(server.blueprint.provider).facts
    columns: dict[str, Any] = {"build": {**(locked.build or builds.sold_build(server.blueprint)), **arguments}}
    if facts.takes_root_password and not facts.rebuild_keeps_access:
        columns["root_password"] = content["root_password"]
    Server.objects.filter(pk=server.pk).update(**columns, failure="")
    kept.follow_install(server, at=at)


def has_password(server: Server) -> bool:
    """Whether there is a root password that nobody has seen yet."""
    with tenancy.as_worker(server):
        return Server.objects.filter(pk=server.pk, running_at__isnull=False, root_password__isnull=False).exists()


def take_password(*, server: Server, actor: User, at: datetime) -> str:
    """The root password, once; empty where there is none to see. It is kept no longer."""
    with tenancy.as_worker(server):
        locked = services.lock_server(server.pk)
        password = (locked.root_password or "") if locked.running_at else ""
        if password:
            Server.objects.filter(pk=server.pk).update(root_password=None)
            audit.record(action="server.show_password", entity=locked, actor=actor, at=at)
    return password
