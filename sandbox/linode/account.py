"""Everything that one account has at Linode: machines, what happens to them by the clock, and events about it."""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.frame import Frame
from sandbox.linode import checks
from sandbox.linode.catalogue import TYPES
from sandbox.linode.errors import BUSY, NOT_FOUND, ApiError
from sandbox.state import JsonObject

SETTINGS: JsonObject = {
    "provision_seconds": 20,
    "boot_seconds": 15,
    "shutdown_seconds": 10,
    "rebuild_seconds": 20,
    "resize_seconds": 60,
    "boot_after_resize_seconds": 20,  # how long a resized machine is off although its resize has finished
    "label_seconds": 30,  # how long a deleted machine keeps its label
    "provision": "finished",  # or how it fails: "offline" or "vanished"
    "sold_out": [],  # pairs of a region and a type
    "is_balance_due": False,
    "dns": {},  # the address that each name resolves to
    "retry_after": "",  # what a limited call is told to wait, instead of the truth
}
SAVED = ("count", "linodes", "events", "kept_labels", "rdns", "settings")
FIRST_ID = 70_000_000


class Account:
    """An account. Rows are as they are answered; names that begin with `_` are not."""

    name = "linode"

    def __init__(self, frame: Frame) -> None:
        self.clock = frame.clock
        self.reset()

    def reset(self) -> None:
        """No machines, default settings."""
        self.count = 0
        self.linodes: dict[str, JsonObject] = {}
        self.events: list[JsonObject] = []
        self.kept_labels: dict[str, float] = {}
        self.rdns: dict[str, str] = {}
        self.settings: JsonObject = copy.deepcopy(SETTINGS)
        self.calls: dict[str, list[float]] = {}  # of each limit: when its window began, and the calls since

    def snapshot(self) -> JsonObject:
        """The whole account."""
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, saved: JsonObject) -> None:
        """Take over a saved account."""
        for name in SAVED:
            setattr(self, name, saved[name])

    def settle(self) -> None:
        """End what has ended by now, and begin what follows."""
        for row in list(self.linodes.values()):
            while row["_jobs"] and row["_jobs"][0]["ends_at"] <= self.clock.now():
                self._end(row)

    def find(self, number: int) -> JsonObject:
        """A machine. Raises ApiError."""
        if str(number) not in self.linodes:
            raise ApiError(404, NOT_FOUND)
        return self.linodes[str(number)]

    def create(self, body: JsonObject) -> JsonObject:
        """A machine that is being provisioned; then it is booted."""
        taken = {row["label"] for row in self.linodes.values()}
        taken |= {label for label, until in self.kept_labels.items() if until > self.clock.now()}
        errors = [*checks.unknown(body, checks.CREATE), *checks.names(body, taken)]
        errors += checks.place(body, self.settings["sold_out"])
        if "image" in body and not errors:
            errors += checks.system(body, body["region"])
        if errors:
            raise ApiError(400, *errors)
        row = self._new(body)
        self.linodes[str(row["id"])] = row
        has_image = "image" in body
        boot = [self._job("linode_boot")] if has_image and body.get("booted", True) else []
        self._begin(row, self._job("linode_create", _has_system=has_image), *boot)
        return row

    def _new(self, body: JsonObject) -> JsonObject:
        """A machine as it is answered, and what we know besides."""
        self.count += 1
        number, now = FIRST_ID + self.count, stamp(self.clock.now())
        return {
            "id": number,
            "label": body.get("label") or f"linode{number}",
            "group": "",
            "created": now,
            "updated": now,
            "region": body["region"],
            "type": body["type"],
            "image": body.get("image"),
            "ipv4": [f"203.0.113.{number % 250 + 1}"],
            "ipv6": f"2001:db8::f03c:93ff:fe00:{self.count:x}/128",
            "specs": TYPES[body["type"]],
            "hypervisor": "kvm",
            "watchdog_enabled": True,
            "tags": sorted(set(body.get("tags") or [])),
            "alerts": {"cpu": 180, "io": 10000, "network_in": 10, "network_out": 10, "transfer_quota": 80},
            "backups": {
                "enabled": bool(body.get("backups_enabled")),
                "available": False,
                "last_successful": None,
                "schedule": {"day": None, "window": None},
            },
            "host_uuid": f"{number:032x}",
            "has_user_data": bool((body.get("metadata") or {}).get("user_data")),
            "placement_group": None,
            "lke_cluster_id": None,
            "disk_encryption": "enabled",
            "capabilities": [],
            "_jobs": [],
            "_disk": TYPES[body["type"]]["disk"],
            "_has_system": False,
            "_system": _system(body),
        }

    def update(self, number: int, body: JsonObject) -> JsonObject:
        """Another label or other tags, which replace all."""
        row = self.find(number)
        taken = {each["label"] for each in self.linodes.values() if each is not row}
        if errors := [*checks.unknown(body, checks.UPDATE), *checks.names(body, taken)]:
            raise ApiError(400, *errors)
        tags = body["tags"] if "tags" in body else row["tags"]
        row |= body | {"tags": sorted(set(tags)), "updated": stamp(self.clock.now())}
        self._event("linode_update", row, self.clock.now(), "notification")
        return row

    def boot(self, number: int) -> None:
        """Boot a machine that is off and has a system."""
        row = self._idle(number, "offline")
        if not row["_has_system"]:
            raise ApiError(400, ("Linode has no disk to boot from", ""))
        self._begin(row, self._job("linode_boot"))

    def shut_down(self, number: int) -> None:
        """Shut down a machine that runs."""
        self._begin(self._idle(number, "running"), self._job("linode_shutdown"))

    def reboot(self, number: int) -> None:
        """Reboot a machine that runs."""
        self._begin(self._idle(number, "running"), self._job("linode_reboot"))

    def resize(self, number: int, body: JsonObject) -> None:
        """Move it to another plan: it is off meanwhile, and booted some time after that has finished."""
        row, plan = self._idle(number), body.get("type")
        errors = [*checks.unknown(body, {"type", "allow_auto_disk_resize", "migration_type"})]
        errors += checks.place({"region": row["region"], "type": plan}, self.settings["sold_out"])
        if plan == row["type"]:
            errors.append(("Linode already has this plan", "type"))
        if plan in TYPES and row["_disk"] > TYPES[plan]["disk"] and not body.get("allow_auto_disk_resize"):
            errors.append(("Linode's disks do not fit into the new plan", "type"))
        if self.settings["is_balance_due"]:
            errors.append(("Your account has an unpaid balance", ""))
        if errors:
            raise ApiError(400, *errors)
        specs = TYPES[str(plan)]
        after = [self._job(""), self._job("linode_boot")] if row["status"] == "running" else []
        job = self._job("linode_resize", type=plan, specs=specs, _disk=specs["disk"])
        self._begin(row, job, *after)

    def rebuild(self, number: int, body: JsonObject) -> JsonObject:
        """Erase the disks and put a system on them."""
        row = self._idle(number)
        errors = [*checks.unknown(body, checks.REBUILD), *checks.system(body, row["region"])]
        if errors:
            raise ApiError(400, *errors)
        row |= {"image": body["image"], "_system": _system(body), "_has_system": False}
        boot = [self._job("linode_boot")] if body.get("booted", True) else []
        self._begin(row, self._job("linode_rebuild", _has_system=True), *boot)
        return row

    def set_password(self, number: int, body: JsonObject) -> None:
        """Set root's password, on the disk of a machine that is off."""
        row = self._idle(number, "offline")
        if errors := [*checks.unknown(body, {"root_pass"}), *checks.password(body)]:
            raise ApiError(400, *errors)
        row["_system"]["root_pass"] = body["root_pass"]

    def delete(self, number: int) -> None:
        """Delete it at once; its label is free some time later."""
        row = self.find(number)
        self._remove(row)
        self._event("linode_delete", row, self.clock.now(), "finished")

    def rename_address(self, address: str, name: str | None) -> JsonObject:
        """Give an address a reverse name, which must resolve to it; None is Linode's own. Raises ApiError."""
        if name is not None and self.settings["dns"].get(name) != address:
            raise ApiError(400, (f"{name} does not resolve to {address}", "rdns"))
        shown = self.address(address)
        self.rdns[address] = name or own_name(address)
        return shown | {"rdns": self.rdns[address]}

    def address(self, address: str) -> JsonObject:
        """An IPv4 address of a machine. Raises ApiError."""
        row = next((each for each in self.linodes.values() if address in each["ipv4"]), None)
        if row is None:
            raise ApiError(404, NOT_FOUND)
        network = address.rpartition(".")[0]
        return {
            "address": address,
            "gateway": f"{network}.1",
            "subnet_mask": "255.255.255.0",
            "prefix": 24,
            "type": "ipv4",
            "public": True,
            "rdns": self.rdns.get(address, own_name(address)),
            "linode_id": row["id"],
            "region": row["region"],
            "vpc_nat_1_1": None,
        }

    def _idle(self, number: int, *states: str) -> JsonObject:
        """A machine that accepts actions; in one of these states, where some are named. Raises ApiError."""
        row = self.find(number)
        if row["status"] not in {"running", "offline"}:
            raise ApiError(400, BUSY)
        if states and row["status"] not in states:
            raise ApiError(400, (f"Linode is {row['status']}", ""))
        return row

    def _job(self, action: str, **changes: Any) -> JsonObject:
        """What takes time: the status meanwhile and at the end, and what it then changes."""
        seconds, status, end = {
            "linode_create": ("provision_seconds", "provisioning", "offline"),
            "linode_boot": ("boot_seconds", "booting", "running"),
            "linode_reboot": ("boot_seconds", "rebooting", "running"),
            "linode_shutdown": ("shutdown_seconds", "shutting_down", "offline"),
            "linode_rebuild": ("rebuild_seconds", "rebuilding", "offline"),
            "linode_resize": ("resize_seconds", "migrating", "offline"),
            "": ("boot_after_resize_seconds", "offline", "offline"),
        }[action]
        return {"action": action, "seconds": seconds, "status": status, "end": end, "changes": changes}

    def _begin(self, row: JsonObject, *jobs: JsonObject, at: float | None = None) -> None:
        """Begin the first; the others follow. What was to follow before does not."""
        begins_at, job = self.clock.now() if at is None else at, jobs[0]
        job["ends_at"] = begins_at + self.settings[job["seconds"]]
        job["event"] = self._event(job["action"], row, begins_at, "started")["id"] if job["action"] else None
        row |= {"_jobs": list(jobs), "status": job["status"]}

    def _end(self, row: JsonObject) -> None:
        job, *rest = row["_jobs"]
        is_install = job["action"] in {"linode_create", "linode_rebuild"}
        has_failed = is_install and row["image"] is not None and self.settings["provision"] != "finished"
        for event in self.events:
            if event["id"] == job["event"]:
                ended = {"status": "failed" if has_failed else "finished", "percent_complete": 100}
                event |= ended | {"duration": job["ends_at"] - event["_at"]}
        row |= {"_jobs": [], "status": job["end"], "updated": stamp(job["ends_at"])}
        if has_failed:
            if self.settings["provision"] == "vanished":
                self._remove(row)
            return
        row |= job["changes"]
        if rest:
            self._begin(row, *rest, at=job["ends_at"])

    def _remove(self, row: JsonObject) -> None:
        del self.linodes[str(row["id"])]
        self.kept_labels[row["label"]] = self.clock.now() + self.settings["label_seconds"]

    def _event(self, action: str, row: JsonObject, at: float, status: str) -> JsonObject:
        event: JsonObject = {
            "id": len(self.events) + 1,
            "action": action,
            "status": status,
            "percent_complete": 0 if status == "started" else 100,
            "created": stamp(at),
            "duration": 0,
            "rate": None,
            "time_remaining": None,
            "username": "panel",
            "message": "",
            "entity": {
                "id": row["id"],
                "type": "linode",
                "label": row["label"],
                "url": f"/v4/linode/instances/{row['id']}",
            },
            "secondary_entity": None,
            "read": False,
            "seen": False,
            "_at": at,
        }
        self.events.append(event)
        return event


def stamp(at: float) -> str:
    """An instant as Linode writes it: UTC, without saying so."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def own_name(address: str) -> str:
    """Linode's own reverse name of an address."""
    return f"{address.replace('.', '-')}.ip.linodeusercontent.com"


def _system(body: Mapping[str, Any]) -> JsonObject:
    """What a machine was built with and nobody can read; only tests see it."""
    hidden = ("root_pass", "authorized_keys", "stackscript_id", "stackscript_data", "metadata")
    return {name: body[name] for name in hidden if name in body}
