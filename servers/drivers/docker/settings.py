"""What an operator says of the hosts and the images, in the provider's configuration."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.utils.translation import gettext as _

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")  # begins the id of each of the host's servers
ADDRESS = re.compile(r"unix:///[\w./-]+|tcp://([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}(/[\w./-]*)?", re.ASCII)
NETWORK = re.compile(r"(?!host$|none$|default$)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9_.:/-]{0,120}(@sha256:[0-9a-f]{64})?")
USER = re.compile(r"[1-9][0-9]{0,8}(:[1-9][0-9]{0,8})?")
PORTS = re.compile(r"([0-9]{4,5})-([0-9]{4,5})")
FIRST_PORT, LAST_PORT = 1024, 65_535
DEFAULT_USER = "1000:1000"


class ConfigurationError(ValueError):
    """The configuration cannot be used; the text says why, for the operator."""


@dataclass(frozen=True)
class Host:
    """A machine with an engine. Sizes in MiB; its ports are those of `ip` that are sold.

    `has_disk_quota`: the engine's folder is on XFS with project quotas, so that volumes can have a size.
    """

    name: str
    address: str
    location: str
    memory_mib: int
    disk_mib: int
    ip: str
    ports: range
    network: str = "bridge"
    has_disk_quota: bool = False


@dataclass(frozen=True)
class Settings:
    """The hosts by their names, and the allowed images with the user that each runs as."""

    hosts: Mapping[str, Host]
    images: Mapping[str, str]


def settings_of(configuration: Any) -> Settings:
    """The settings that a configuration states. Raises ConfigurationError."""
    parts = _object(configuration, _("The configuration"), {"hosts", "images"})
    hosts = [_host(each) for each in _list(parts, "hosts")]
    for values in ([host.name for host in hosts], [host.address for host in hosts]):
        if repeated := next((value for value in values if values.count(value) > 1), None):
            raise ConfigurationError(_("Two hosts have {value}.").format(value=repeated))
    return Settings({host.name: host for host in hosts}, dict(_image(each) for each in _list(parts, "images")))


def configuration_problem(configuration: Any) -> str:
    """Why a configuration cannot be used; empty where it can."""
    try:
        settings_of(configuration)
    except ConfigurationError as error:
        return str(error)
    return ""


def _host(entry: Any) -> Host:
    where = _("Host {name}").format(name=entry.get("name", "?") if isinstance(entry, dict) else "?")
    parts = _object(entry, where, {each.name for each in fields(Host)})
    texts = {name: str(value) for name, value in {"network": "bridge", **parts}.items()}
    found = PORTS.fullmatch(texts.get("ports", ""))
    ports = range(int(found[1]), int(found[2]) + 1) if found else range(0)
    has_disk_quota = parts.get("has_disk_quota", False)
    sizes = [parts.get(name) for name in ("memory_mib", "disk_mib")]
    checks = {
        _("name: at most 24 lower-case letters, digits and dashes."): NAME.fullmatch(texts.get("name", "")),
        _("address: such as tcp://host:2376 or unix:///run/docker.sock."): ADDRESS.fullmatch(texts.get("address", "")),
        _("location: a short code, such as fra."): re.fullmatch(r"[\w-]{1,60}", texts.get("location", "")),
        _("memory_mib and disk_mib: numbers."): all(type(size) is int and size > 0 for size in sizes),
        _("ip: the address at which its ports are published."): _ip(texts.get("ip", "")),
        _("ports: such as 25000-25999, none below 1024."): ports and ports[0] >= FIRST_PORT and ports[-1] <= LAST_PORT,
        _("network: a network of the engine, never that of the host."): NETWORK.fullmatch(texts["network"]),
        _("has_disk_quota: true or false."): isinstance(has_disk_quota, bool),
    }
    if problem := next((text for text, is_good in checks.items() if not is_good), None):
        raise ConfigurationError(f"{where}, {problem}")
    changed = {"address": texts["address"].rstrip("/"), "ip": _ip(texts["ip"]), "ports": ports}
    return Host(**{**parts, **changed})


def _image(entry: Any) -> tuple[str, str]:
    parts = _object({"image": entry} if isinstance(entry, str) else entry, _("An image"), {"image", "user"})
    image, user = str(parts.get("image")), str(parts.get("user", DEFAULT_USER))
    if not IMAGE.fullmatch(image) or ".." in image:
        raise ConfigurationError(_("{image} is no name of an image.").format(image=image))
    if not USER.fullmatch(user):
        raise ConfigurationError(
            _("{image}, user: the number of a user, such as 1000:1000, never root.").format(image=image)
        )
    return image, user


def _object(value: Any, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(_("{where} is no JSON object.").format(where=where))
    if strange := sorted(value.keys() - known):
        raise ConfigurationError(_("{where} has no {field}.").format(where=where, field=", ".join(strange)))
    return value


def _list(parts: Mapping[str, Any], name: str) -> list[Any]:
    value = parts.get(name)
    if not isinstance(value, list) or not value:
        raise ConfigurationError(_("{name} is missing: a JSON list with at least one entry.").format(name=name))
    return value


def _ip(text: str) -> str:
    """An address as it is usually written; empty for anything else."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
