"""Servers on a panel, by way of its application API."""

from typing import Any, NoReturn
from uuid import UUID

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import (
    AccountGone,
    AlreadyThere,
    Build,
    Limits,
    NotOnNode,
    PortTaken,
    RemoteServer,
    RemoteState,
    ServerSpec,
    WrongState,
)
from servers.drivers.pterodactyl.client import PanelClient, broken_rules, is_absent, related

CONDITIONS = {
    None: RemoteState.READY,
    "installing": RemoteState.INSTALLING,
    "install_failed": RemoteState.INSTALL_FAILED,
    "reinstall_failed": RemoteState.REINSTALL_FAILED,
    "suspended": RemoteState.SUSPENDED,
    "restoring_backup": RemoteState.RESTORING,
}
INCLUDE = {"include": "allocations"}
NO_SWAP, IO_WEIGHT = 0, 500


def find(panel: PanelClient, key: UUID) -> RemoteServer | None:
    """The server with our id as its external id; None when the panel says that there is none."""
    try:
        attributes = panel.get(f"/servers/external/{key}", INCLUDE)["attributes"]
    except outside.Rejected as error:
        if is_absent(error):
            return None
        raise
    if str(attributes.get("external_id")).lower() != str(key):
        raise outside.Unavailable("the panel answered with another server than the one asked for")
    return observed(attributes)


def create(panel: PanelClient, spec: ServerSpec, build: Build) -> RemoteServer:
    """Ask for the server once. The answer comes before the install has begun."""
    try:
        attributes = panel.send("POST", "/servers", _creation(spec, build))["attributes"]
    except NotOnNode as error:
        # The node's own 404 to a creation: the panel has cleaned up, as after any failure of the node.
        raise outside.Unavailable(str(error), status=error.status, code=error.code) from None
    except outside.Rejected as error:
        _raise_creation_refused(error, spec)
    return observed(attributes)


def _raise_creation_refused(error: outside.Rejected, spec: ServerSpec) -> NoReturn:
    broken = broken_rules(error)
    if ("external_id", "unique") in broken:
        raise AlreadyThere(str(error), status=error.status, code=error.code) from None
    ports = frozenset(ref for field, rule in broken if rule == "exists" for ref in _refs(field, spec))
    if ports:
        raise PortTaken(str(error), ports) from None
    if ("user", "exists") in broken:
        raise AccountGone(str(error), status=error.status, code=error.code) from None
    if broken:
        fields = ", ".join(f"{field} ({rule})" for field, rule in broken)
        reason = _("The panel refused the server: {fields}.").format(fields=fields)
        raise outside.Rejected(reason, status=error.status, code=error.code, body=error.body) from None
    raise error


def _refs(field: str, spec: ServerSpec) -> list[str]:
    """The allocation that a field such as `allocation.additional.0` stands for."""
    if field == "allocation.default":
        return [spec.allocations[0]]
    prefix, _dot, position = field.rpartition(".")
    is_ours = prefix == "allocation.additional" and position.isdigit() and int(position) < len(spec.allocations) - 1
    return [spec.allocations[int(position) + 1]] if is_ours else []


def _creation(spec: ServerSpec, build: Build) -> dict[str, Any]:
    primary, *additional = (int(ref) for ref in spec.allocations)
    return {
        **_details(spec),
        "egg": int(build.egg_ref),
        "docker_image": build.image,
        "startup": build.startup,
        "environment": dict(build.environment),
        "limits": _limits(spec.limits),
        "feature_limits": _feature_limits(spec.limits),
        "allocation": {"default": primary, "additional": additional},
        "skip_scripts": False,
        "oom_disabled": False,
        "start_on_completion": True,
    }


def _details(spec: ServerSpec) -> dict[str, Any]:
    """All four, always: the panel erases what is not sent."""
    return {
        "external_id": str(spec.key),
        "name": spec.name,
        "user": int(spec.account.ref),
        "description": "",
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "memory": limits.memory_mib,
        "swap": NO_SWAP,
        "disk": limits.disk_mib,
        "io": IO_WEIGHT,
        "cpu": limits.cpu_percent,
        "threads": None,
    }


def _feature_limits(limits: Limits) -> dict[str, int]:
    """No ports of the customer's own picking: they would come from the pool that we sell from."""
    return {"databases": limits.databases, "backups": limits.backups, "allocations": 0}


def describe(panel: PanelClient, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
    """Replace name, owner and key."""
    panel.send("PATCH", f"/servers/{_path(server)}/details", _details(spec))
    return _reread(panel, spec)


def resize(panel: PanelClient, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
    """Replace the limits and add missing ports; the panel passes over what it cannot add, so we read again."""
    wanted, present = set(spec.allocations), server.allocation_refs
    primary = spec.allocations[0] if spec.allocations[0] in present else server.primary_ref
    body = {
        "allocation": int(primary),
        "limits": _limits(spec.limits),
        "feature_limits": _feature_limits(spec.limits),
        "oom_disabled": False,
        "add_allocations": [int(ref) for ref in spec.allocations if ref not in present],
        "remove_allocations": [int(ref) for ref in sorted(present - wanted - {primary})],
    }
    panel.send("PATCH", f"/servers/{_path(server)}/build", body)
    return _reread(panel, spec)


def _reread(panel: PanelClient, spec: ServerSpec) -> RemoteServer:
    found = find(panel, spec.key)
    if found is None:
        raise outside.Unknown("the server went away while it was changed")
    return found


def tell(panel: PanelClient, server: RemoteServer, word: str) -> None:
    """One of the calls without a body: suspend, unsuspend, reinstall. During a transfer the panel asks to wait."""
    try:
        panel.send("POST", f"/servers/{_path(server)}/{word}")
    except WrongState as error:
        raise outside.Unavailable(str(error), status=error.status, code=error.code) from None


def delete(panel: PanelClient, server: RemoteServer) -> None:
    """Delete it; already gone is fine. A node that does not answer keeps it: nothing is forced."""
    try:
        panel.send("DELETE", f"/servers/{_path(server)}")
    except outside.Rejected as error:
        if not is_absent(error):
            raise


def _path(server: RemoteServer) -> str:
    """The panel's number. Anything else in this place could name another call."""
    return str(int(server.ref))


def observed(attributes: dict[str, Any]) -> RemoteServer:
    """A server's attributes in our words. Unavailable for a state that nobody knew when this was written."""
    status = attributes.get("status")
    if status not in CONDITIONS:
        raise outside.Unavailable(f"the panel calls a server {str(status)[:40]!r}, which is not understood")
    limits, features = attributes["limits"], attributes["feature_limits"]
    ports = {str(port["id"]) for port in related(attributes, "allocations")}
    return RemoteServer(
        ref=str(attributes["id"]),
        identifier=str(attributes["identifier"]),
        key=str(attributes.get("external_id") or ""),
        name=str(attributes.get("name") or ""),
        account_ref=str(attributes["user"]),
        node_ref=str(attributes["node"]),
        condition=CONDITIONS[status],
        limits=Limits(
            memory_mib=int(limits["memory"]),
            disk_mib=int(limits["disk"]),
            cpu_percent=int(limits["cpu"]),
            databases=_count(features["databases"]),
            backups=_count(features["backups"]),
        ),
        primary_ref=str(attributes["allocation"]),
        allocation_refs=frozenset(ports | {str(attributes["allocation"])}),
        can_add_ports=features.get("allocations") != 0,
    )


UNLIMITED = -1


def _count(number: Any) -> int:
    """A feature limit; null means unlimited there, which no spec of ours asks for."""
    return UNLIMITED if number is None else int(number)
