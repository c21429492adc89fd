"""Everything that one account has, and what time does to it: droplets, their actions, keys and tags.

A droplet's private parts begin with an underscore: `_tags` says since when each tag is there, `_gone_at` when it was
destroyed, `_boots` how often its disk was made, `_rdns` what its address says.
"""

import copy
from datetime import UTC, datetime
from typing import Any

from sandbox.clock import Clock
from sandbox.digitalocean.catalog import REGIONS, SIZES, image_of
from sandbox.frame import Frame
from sandbox.state import JsonObject

TOKEN = "dop_v1_sandbox"  # noqa: S105 - of the stand-in
OWNER = "owner@example.com"
SETTINGS: JsonObject = {
    "create_seconds": 2.0,
    "address_seconds": 1.0,
    "action_seconds": 0.5,
    "tag_seconds": 0.5,
    "list_seconds": 0.5,
    "hidden_seconds": 0.0,
    "create_outcome": "completed",
    "snapshot_outcome": "completed",
    "rebuild_outcome": "completed",
    "status_after_create": "active",
    "obeys_shutdown": True,
    "droplet_limit": 25,
    "calls_per_hour": 5000,
    "calls_per_minute": 250,
}
"""What tests may change. A droplet is active, and has an address, so long after its creation; its tags are there
`tag_seconds` later, lists are `list_seconds` behind, and a droplet may not be found by its number for `hidden_seconds`.
`create_outcome` is completed, errored (it stays new) or vanished, the others completed or errored."""
SAVED = ("count", "droplets", "actions", "keys", "tags", "mails", "refused", "settings")


class Refused(Exception):
    """An answer other than 2xx: its status, its `id` and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def unprocessable(message: str) -> Refused:
    """Most of what DigitalOcean refuses."""
    return Refused(422, message)


class Account:
    """The account of one operator. Times are unix seconds of the sandbox clock, shown as text."""

    name = "digitalocean"

    def __init__(self, frame: Frame) -> None:
        self.clock: Clock = frame.clock
        self.reset()

    def reset(self) -> None:
        """No droplets, no keys, default settings."""
        self.count = 0
        self.droplets: dict[str, JsonObject] = {}
        self.actions: list[JsonObject] = []
        self.keys: list[JsonObject] = []
        self.tags: list[str] = []
        self.mails: list[str] = []  # root passwords that the owner was sent
        self.refused: list[str] = []  # calls that would have acted on everything with a tag
        self.settings: JsonObject = copy.deepcopy(SETTINGS)
        self.calls: list[float] = []

    def snapshot(self) -> JsonObject:
        """The whole account."""
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, saved: JsonObject) -> None:
        """Take over a saved account."""
        for name in SAVED:
            setattr(self, name, saved[name])

    def text(self, at: float | None = None) -> str:
        """An instant as DigitalOcean writes it; now where none is given."""
        moment = datetime.fromtimestamp(self.clock.now() if at is None else at, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def number(self) -> int:
        """The next id."""
        self.count += 1
        return 400_000_000 + self.count

    def find(self, ref: object) -> JsonObject:
        """A droplet that was not destroyed. Raises Refused."""
        self.finish_due()
        row = self.droplets.get(str(ref))
        now = self.clock.now()
        if row is None or row["_gone_at"] is not None or now < row["_made_at"] + self.settings["hidden_seconds"]:
            raise Refused(404, "The resource you were accessing could not be found.")
        return row

    def listed(self) -> list[JsonObject]:
        """The droplets of a list, which is behind: the newest are missing, and those just destroyed are in it."""
        self.finish_due()
        then = self.clock.now() - self.settings["list_seconds"]
        return [
            row
            for row in self.droplets.values()
            if row["_made_at"] <= then and (row["_gone_at"] is None or row["_gone_at"] > then)
        ]

    def create(self, wanted: JsonObject) -> JsonObject:
        """A droplet that begins to be made. The same again makes another one."""
        self.finish_due()
        if sum(row["_gone_at"] is None for row in self.droplets.values()) >= self.settings["droplet_limit"]:
            raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
        if not wanted.get("ssh_keys"):
            self.mails.append(f"{OWNER}: the root password of {wanted['name']}")
        row = self._new_droplet(wanted)
        self.tags += [tag for tag in row["_tags"] if tag not in self.tags]
        self.droplets[str(row["id"])] = row
        self.begin(row, {"type": "create"}, self.settings["create_seconds"])
        return row

    def _new_droplet(self, wanted: JsonObject) -> JsonObject:
        now, size = self.clock.now(), SIZES[wanted["size"]]
        return {
            "id": self.number(),
            "name": wanted["name"],
            **_parts_of_size(size),
            **_disk(size),
            "locked": True,
            "status": "new",
            "kernel": None,
            "created_at": self.text(now),
            "features": ["private_networking", *(["ipv6"] if wanted.get("ipv6") else [])],
            "backup_ids": [],
            "next_backup_window": None,
            "snapshot_ids": [],
            "volume_ids": [],
            "image": image_of(wanted["image"]),
            "networks": {"v4": [], "v6": []},
            "region": REGIONS[wanted["region"]],
            "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
            "_tags": dict.fromkeys(wanted.get("tags") or [], now + self.settings["tag_seconds"]),
            "_made_at": now,
            "_gone_at": None,
            "_boots": 0,
            "_rdns": wanted["name"] if "." in wanted["name"] else "",
            "_user_data": wanted.get("user_data") or "",
            "_ssh_keys": wanted.get("ssh_keys") or [],
        }

    def begin(self, row: JsonObject, wanted: JsonObject, seconds: float) -> JsonObject:
        """An action, during which the droplet is locked."""
        now = self.clock.now()
        row["locked"] = True
        action: JsonObject = {
            "id": 2_500_000_000 + self.number(),
            "status": "in-progress",
            "type": wanted["type"],
            "started_at": self.text(now),
            "completed_at": None,
            "resource_id": row["id"],
            "resource_type": "droplet",
            "region": row["region"],
            "region_slug": row["region"]["slug"],
            "_wanted": wanted,
            "_due_at": now + seconds,
        }
        self.actions.append(action)
        return action

    def pending(self, row: JsonObject) -> JsonObject | None:
        """The droplet's action that is under way."""
        own = (each for each in self.actions if each["resource_id"] == row["id"])
        return next((each for each in own if each["status"] == "in-progress"), None)

    def destroy(self, row: JsonObject) -> None:
        """Destroy a droplet. Raises Refused while an action is under way."""
        if self.pending(row):
            raise unprocessable("Droplet already has a pending event.")
        row["_gone_at"] = self.clock.now()

    def finish_due(self) -> None:
        """What time has done: addresses that were given, actions that ended."""
        now = self.clock.now()
        for action in self.actions:
            if action["status"] != "in-progress":
                continue
            row = self.droplets[str(action["resource_id"])]
            is_addressed = now >= row["_made_at"] + self.settings["address_seconds"]
            if is_addressed and action["type"] == "create" and self.settings["create_outcome"] == "completed":
                self._give_addresses(row)
            if now >= action["_due_at"]:
                action |= {"status": "completed", "completed_at": self.text(action["_due_at"])}
                row["locked"] = False
                self._carry_out(row, action)

    def _give_addresses(self, row: JsonObject) -> None:
        """The private one first: the order is not fixed."""
        tail = f"{row['id'] // 250 % 250}.{row['id'] % 250 + 1}"
        private = {"ip_address": f"10.104.{tail}", "netmask": "255.255.0.0", "gateway": "", "type": "private"}
        public = {"ip_address": f"198.18.{tail}", "netmask": "255.254.0.0", "gateway": "198.18.0.1", "type": "public"}
        v6 = {"ip_address": f"2001:db8::{row['id']:x}", "netmask": 64, "gateway": "2001:db8::1", "type": "public"}
        row["networks"] = {"v4": [private, public], "v6": [v6] if "ipv6" in row["features"] else []}

    def _carry_out(self, row: JsonObject, action: JsonObject) -> None:
        wanted: dict[str, Any] = action["_wanted"]
        match wanted["type"]:
            case "create" if self.settings["create_outcome"] == "completed":
                self._give_addresses(row)
                row |= {"status": self.settings["status_after_create"], "_boots": 1}
            case "create":
                action["status"] = "errored"
                if self.settings["create_outcome"] == "vanished":
                    row["_gone_at"] = self.clock.now()
            case "power_on" | "reboot" | "power_cycle":
                row["status"] = "active"
            case "shutdown" if not self.settings["obeys_shutdown"]:
                pass
            case "power_off" | "shutdown":
                row["status"] = "off"
            case "rename":
                row |= {"name": wanted["name"], "_rdns": wanted["name"] if "." in wanted["name"] else ""}
            case "snapshot" if self.settings["snapshot_outcome"] == "errored":
                action["status"] = "errored"
            case "rebuild" if self.settings["rebuild_outcome"] == "errored":
                action["status"] = "errored"
            case "snapshot":
                row["snapshot_ids"] = [*row["snapshot_ids"], self.number()]
            case "rebuild":
                row |= {"image": image_of(wanted["image"]), "status": "active", "_boots": row["_boots"] + 1}
            case "resize":
                size = SIZES[wanted["size"]]
                row |= _parts_of_size(size) | (_disk(size) if wanted.get("disk") else {})


def _parts_of_size(size: JsonObject) -> JsonObject:
    return {"size": size, "size_slug": size["slug"], "memory": size["memory"], "vcpus": size["vcpus"]}


def _disk(size: JsonObject) -> JsonObject:
    return {"disk": size["disk"], "disk_info": [{"type": "local", "size": {"amount": size["disk"], "unit": "gib"}}]}
