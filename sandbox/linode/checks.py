"""What Linode refuses of a creation, a rebuild or a change: every error of a body at once."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.linode.catalogue import IMAGES, REGIONS, STACKSCRIPTS, TYPES

type Errors = Iterator[tuple[str, str]]

SYSTEM = {
    *("image", "root_pass", "authorized_keys", "authorized_users", "stackscript_id", "stackscript_data"),
    *("metadata", "booted", "disk_encryption"),
}
CREATE = SYSTEM | {
    *("region", "type", "label", "tags", "backups_enabled", "swap_size", "private_ip", "firewall_id", "interfaces"),
    *("placement_group", "interface_generation", "network_helper", "maintenance_policy", "kernel", "boot_size"),
    *("ipv4", "backup_id", "group"),
}
REBUILD = SYSTEM | {"type"}
UPDATE = {"label", "tags", "group", "alerts", "backups", "watchdog_enabled", "maintenance_policy"}
LABEL = re.compile(r"[A-Za-z](?:[A-Za-z0-9]|[-_.](?![-_.]))*[A-Za-z0-9]")
MAX_DATA = 65_535


def unknown(body: Mapping[str, Any], known: set[str]) -> Errors:
    """Keys that the call does not have."""
    yield from ((f"{name} is not a known field", name) for name in body if name not in known)


def names(body: Mapping[str, Any], taken: set[str]) -> Errors:
    """The label and the tags."""
    label = body.get("label")
    if label is not None and not (isinstance(label, str) and 3 <= len(label) <= 64 and LABEL.fullmatch(label)):
        yield "Label must start with a letter, and have 3-64 letters, digits and single -, _ or .", "label"
    if label in taken:
        yield "Label must be unique among your linodes", "label"
    tags = body.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and 3 <= len(tag) <= 50 for tag in tags):
        yield "Length must be 3-50 characters", "tags"


def place(body: Mapping[str, Any], sold_out: list[list[str]]) -> Errors:
    """The region and the type."""
    region, plan = body.get("region"), body.get("type")
    if region not in REGIONS or "Linodes" not in REGIONS[region]["capabilities"]:
        yield "region is not valid", "region"
    if plan not in TYPES:
        yield "A valid plan type by that ID was not found", "type"
    if [region, plan] in sold_out:
        yield f"{plan} is not available in {region}", "region"


def system(body: Mapping[str, Any], region: str) -> Errors:
    """The image, who may enter, and what runs at the first boot."""
    image = body.get("image")
    if image not in IMAGES:
        yield "image is not valid", "image"
        return
    yield from password(body)
    for number, line in enumerate(body.get("authorized_keys") or []):
        if not re.match(r"(ssh-|ecdsa-|sk-)\S+ \S+", line):
            yield "SSH key is not valid", f"authorized_keys[{number}]"
    yield from _stackscript(body)
    data = (body.get("metadata") or {}).get("user_data")
    if data is not None:
        try:
            size = len(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError):
            yield "user_data must be base64", "metadata.user_data"
        else:
            if size > MAX_DATA:
                yield f"decoded user_data must not exceed {MAX_DATA} bytes", "metadata.user_data"
        if "cloud-init" not in IMAGES[image]:
            yield "image does not support cloud-init", "metadata.user_data"
        if "Metadata" not in REGIONS[region]["capabilities"]:
            yield "region does not support Metadata", "metadata.user_data"


def password(body: Mapping[str, Any]) -> Errors:
    """The password of root."""
    text = str(body.get("root_pass") or "")
    kinds = sum(bool(re.search(pattern, text)) for pattern in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    if not text:
        yield "root_pass is required", "root_pass"
    elif not 7 <= len(text) <= 128 or kinds < 2:
        yield "Password does not meet strength requirements", "root_pass"


def _stackscript(body: Mapping[str, Any]) -> Errors:
    number, values = body.get("stackscript_id"), body.get("stackscript_data") or {}
    if number is None:
        return
    script = STACKSCRIPTS.get(number)
    if script is None:
        yield "StackScript not found", "stackscript_id"
        return
    if body["image"] not in script["images"]:
        yield "image is not compatible with the StackScript", "stackscript_id"
    if len(json.dumps(values)) > MAX_DATA:
        yield f"must not exceed {MAX_DATA} characters", "stackscript_data"
    for name, default in script["fields"].items():
        if name not in values and default is None:
            yield f"{name} is required", f"stackscript_data.{name}"
    for name, value in values.items():
        if name not in script["fields"] or not isinstance(value, str):
            yield f"{name} is not valid", f"stackscript_data.{name}"
