"""What DigitalOcean refuses of a request before it does anything."""

import re

from sandbox.digitalocean.account import Account, unprocessable
from sandbox.digitalocean.catalog import IMAGES, REGIONS, SIZES, image_of
from sandbox.state import JsonObject

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
TAG = re.compile(r"[A-Za-z0-9_:-]{1,255}")
MAX_USER_DATA = 64 * 1024
NEEDS_OFF = {"resize", "power_on"}
NEEDS_ON = {"power_off", "shutdown", "reboot"}
OTHER_ACTIONS = {"power_cycle", "rebuild", "rename", "snapshot"}


def require_name(name: object) -> None:
    """Raises Refused for what cannot be a droplet's name."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")


def require_tag(tag: object) -> None:
    """Raises Refused for what cannot be a tag."""
    if not isinstance(tag, str) or not TAG.fullmatch(tag):
        raise unprocessable("Tag name is invalid.")


def require_size(slug: object, region: str) -> JsonObject:
    """The size. Raises Refused where the region does not have it."""
    size = SIZES.get(str(slug))
    if size is None or region not in size["regions"] or not size["available"]:
        raise unprocessable("Size is not available in this region.")
    return size


def check_creation(account: Account, body: JsonObject) -> None:
    """Raises Refused. A region that is left out would be chosen for the customer, so here it has to be given."""
    require_name(body.get("name"))
    if body.get("region") not in REGIONS:
        raise unprocessable("Region is not available.")
    size, image = require_size(body.get("size"), body["region"]), image_of(body.get("image"))
    if image is None or body["region"] not in image["regions"]:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    if image["min_disk_size"] > size["disk"]:
        raise unprocessable("This size cannot be used because the image needs a larger disk.")
    known = {each[name] for each in account.keys for name in ("id", "fingerprint")}
    if not isinstance(body.get("ssh_keys") or [], list) or not known.issuperset(body.get("ssh_keys") or []):
        raise unprocessable("ssh_keys: are invalid key identifiers for Droplet creation.")
    if not isinstance(body.get("tags") or [], list):
        raise unprocessable("tags must be a list.")
    for tag in body.get("tags") or []:
        require_tag(tag)
    data = body.get("user_data") or ""
    if not isinstance(data, str) or len(data.encode()) > MAX_USER_DATA:
        raise unprocessable("user_data is too long.")


def check_action(account: Account, row: JsonObject, body: JsonObject) -> None:
    """Raises Refused. One action at a time."""
    kind = body.get("type")
    if kind not in NEEDS_OFF | NEEDS_ON | OTHER_ACTIONS:
        raise unprocessable("The action type is invalid.")
    if account.pending(row) or row["status"] == "new":
        raise unprocessable("Droplet already has a pending event.")
    if kind in NEEDS_OFF and row["status"] != "off":
        raise unprocessable("Droplet must be powered off." if kind == "resize" else "Droplet is already powered on.")
    if kind in NEEDS_ON and row["status"] != "active":
        raise unprocessable("Droplet is currently off.")
    if kind == "rename":
        require_name(body.get("name"))
    if kind == "rebuild" and image_of(body.get("image")) is None:
        raise unprocessable(f"The image is not one of {', '.join(IMAGES)}.")
    if kind == "resize":
        size = require_size(body.get("size"), row["region"]["slug"])
        if size["slug"] == row["size_slug"]:
            raise unprocessable("Droplet already has this size.")
        if size["disk"] < row["disk"]:
            raise unprocessable("This size is not available because it has a smaller disk.")
