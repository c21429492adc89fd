"""What DigitalOcean says of a droplet, and the name and tags by which ours are known."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.text import slugify

from core import outside
from servers.drivers.base import Address, RemoteServer, RemoteState, ServerSpec

SUSPENDED = "suspended"  # the tag of a machine that is off because of a hold
RESIZING = "resizing"  # of one that was stopped for a resize and is to be started again
REBUILDING = "rebuilding"  # of one whose rebuild was asked for: only its actions say how that ends
SERVER_TAG = re.compile(r"svc-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
COPY_WITHIN = timedelta(hours=1)
# What is under way and is more than a stop or a start.
BUSY_STATES = {
    "create": RemoteState.INSTALLING,
    "rebuild": RemoteState.INSTALLING,
    "restore": RemoteState.RESTORING,
}


def remote_server(
    droplet: dict[str, Any], actions: Sequence[dict[str, Any]] = (), copies: Sequence[int] = ()
) -> RemoteServer:
    """The droplet as convergence sees it. `copies` are what else our creations left, which is to be destroyed."""
    networks = droplet["networks"]
    public = [each for version in ("v4", "v6") for each in networks[version] if each["type"] == "public"]
    return RemoteServer(
        ref=str(droplet["id"]),
        identifier=str(droplet["id"]),
        state=state_of(droplet, actions, has_address=bool(public)),
        addresses=tuple(Address(each["ip_address"]) for each in public),
        facts={
            "name": droplet["name"],
            "size": droplet["size_slug"],
            "status": droplet["status"],
            "locked": droplet["locked"],
            "tags": sorted(droplet["tags"]),
            "disk_gib": droplet["disk"],
            "copies": list(copies),
        },
    )


def state_of(droplet: dict[str, Any], actions: Sequence[dict[str, Any]], *, has_address: bool) -> RemoteState:
    """How far the droplet is. Raises Unavailable for a status that is not known here."""
    status = droplet["status"]
    match status:
        case "new":
            has_failed = any((each["type"], each["status"]) == ("create", "errored") for each in actions)
            return RemoteState.INSTALL_FAILED if has_failed else RemoteState.INSTALLING
        case "archive":
            return RemoteState.SUSPENDED
        case "active" | "off":
            pending = next((each["type"] for each in actions if each["status"] == "in-progress"), "")
            if pending in BUSY_STATES:
                return BUSY_STATES[pending]
            newest = next((each["status"] for each in actions if each["type"] == "rebuild"), "")
            if REBUILDING in droplet["tags"] and newest == "errored":
                return RemoteState.REINSTALL_FAILED
            if status == "off":
                return RemoteState.SUSPENDED if SUSPENDED in droplet["tags"] else RemoteState.READY
            return RemoteState.READY if has_address else RemoteState.INSTALLING
    raise outside.Unavailable(f"a droplet's status is {str(status)[:40]!r}, which is not known")


def hostname(spec: ServerSpec) -> str:
    """The server's name in letters, digits and dashes, with the end of its key, so that a droplet is found by it.

    It has no dots: a full domain name would become what the address's reverse DNS says, whoever owns that domain.
    """
    readable = slugify(spec.name)[:50].strip("-_").replace("_", "-") or "server"
    return f"{readable}-{spec.key.hex[-12:]}"


def server_tag(key: UUID) -> str:
    """The tag of all that is one server's."""
    return f"svc-{key}"


def attempt_tag(spec: ServerSpec) -> str:
    """The tag of one creation."""
    return f"att-{spec.key}-{spec.attempt}"


def is_copy(droplet: dict[str, Any], kept: dict[str, Any], spec: ServerSpec) -> bool:
    """Whether it is another one that a creation of ours made meanwhile: nobody has used it.

    What has our tag for any other reason, and what came much later or earlier, is never destroyed.
    """
    is_made_by_us = any(tag.startswith(f"att-{spec.key}-") for tag in droplet["tags"])
    is_of_that_time = abs(created_at(droplet) - created_at(kept)) <= COPY_WITHIN
    return droplet["id"] != kept["id"] and is_made_by_us and is_of_that_time


def created_at(droplet: dict[str, Any]) -> datetime:
    """When it was asked for."""
    return datetime.fromisoformat(droplet["created_at"])
