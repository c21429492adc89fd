"""Everything that one control server has: users, hypervisor groups, packages, servers and their queued work."""

import copy
from datetime import UTC, datetime
from uuid import uuid4

from sandbox.frame import Frame
from sandbox.state import JsonObject

TOKEN = "sim-virtfusion-token-001"  # noqa: S105 - of this stand-in alone
SETTINGS: JsonObject = {
    "version": 7,
    "scopes": ["compute", "servers", "ssh_keys", "users"],
    "errors_shape": "list",
    "duplicate_status": 422,
    "build_seconds": 0,
    "build_outcome": "ok",
    "suspend_seconds": 0,
    "delete_seconds": 0,
    "list_lag_seconds": 0,
}
"""What tests may change: the version (7, or 6 with its older paths and statuses), what the token may do, whether
`errors` is a list of texts or a map of fields, the status of a second user, how long things take and how a build ends,
and how long a new server is missing in the lists."""
GROUPS: list[JsonObject] = [
    {"id": 1, "name": "Frankfurt", "label": "fra", "description": "", "distributionType": 1, "enabled": True},
    {"id": 2, "name": "New York", "label": "nyc", "description": "", "distributionType": 1, "enabled": True},
]
HYPERVISORS: list[JsonObject] = [
    {"id": 7, "groupId": 1, "name": "fra-1", "memory": 65536, "storage": 2000, "cpuCores": 0},
    {"id": 8, "groupId": 1, "name": "fra-2", "memory": 32768, "storage": 1000, "cpuCores": 0},
    {"id": 9, "groupId": 2, "name": "nyc-1", "memory": 16384, "storage": 500, "cpuCores": 16},
]
PACKAGES: list[JsonObject] = [
    {"id": 12, "name": "VPS 2", "memory": 2048, "primaryStorage": 40, "traffic": 2000, "cpuCores": 2},
    {"id": 13, "name": "VPS 4", "memory": 4096, "primaryStorage": 80, "traffic": 4000, "cpuCores": 4},
]
TEMPLATES = (5, 6)
IPV4_POOL = 100
SAVED = ("count", "users", "groups", "hypervisors", "packages", "servers", "ssh_keys", "jobs", "settings")
STATES_OF_POWER = {"boot": "running", "restart": "running", "shutdown": "shutoff", "poweroff": "shutoff"}


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, body: JsonObject | None) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Panel:
    """The control server. Times are unix seconds of the sandbox clock."""

    name = "virtfusion"

    def __init__(self, frame: Frame) -> None:
        self.clock, self.base_url = frame.clock, f"{frame.base_url}/virtfusion"
        self.reset()

    def reset(self) -> None:
        """Two groups of hypervisors, two packages, no users and servers."""
        self.count = 880
        self.users: list[JsonObject] = []
        self.servers: list[JsonObject] = []
        self.ssh_keys: list[JsonObject] = []
        self.jobs: list[JsonObject] = []
        self.groups, self.hypervisors = copy.deepcopy(GROUPS), copy.deepcopy(HYPERVISORS)
        self.packages, self.settings = copy.deepcopy(PACKAGES), copy.deepcopy(SETTINGS)
        for each in self.hypervisors:
            each |= {"enabled": True, "prohibit": False, "accept": False, "commissioned": True}

    def snapshot(self) -> JsonObject:
        """Everything."""
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, saved: JsonObject) -> None:
        """Take over what was saved."""
        for name in SAVED:
            setattr(self, name, saved[name])

    def next_id(self) -> int:
        """A number that no row has."""
        self.count += 1
        return self.count

    def find(self, rows: list[JsonObject], number: object, message: str) -> JsonObject:
        """The row with this id. Raises Refused 404 with the message."""
        found = next((row for row in rows if str(row["id"]) == str(number)), None)
        if found is None:
            raise Refused(404, {"msg": message})
        return found

    def server(self, number: object) -> JsonObject:
        """A server. Raises Refused 404."""
        return self.find(self.servers, number, "server not found")

    def invalid(self, field: str, message: str) -> Refused:
        """A 422 in the shape of the panel's age."""
        is_list = self.settings["errors_shape"] == "list"
        return Refused(422, {"errors": [message] if is_list else {field: [message]}})

    def listed(self) -> list[JsonObject]:
        """The servers that lists show by now."""
        until = self.clock.now() - self.settings["list_lag_seconds"]
        return [server for server in self.servers if server["created_at"] <= until]

    def create_server(self, body: JsonObject, *, is_dry_run: bool) -> JsonObject | None:
        """A server without a system; the same request again makes another one. Raises Refused."""
        package = self._named(self.packages, body, "packageId")
        user, group = self._named(self.users, body, "userId"), self._named(self.groups, body, "hypervisorId")
        resources = {
            "memory": body.get("memory", package["memory"]),
            "storage": body.get("storage", package["primaryStorage"]),
            "traffic": body.get("traffic", package["traffic"]),
            "cpuCores": body.get("cpuCores", package["cpuCores"]),
        }
        hypervisor = self._choose(group, resources)
        if hypervisor is None or IPV4_POOL - len(self.servers) < body.get("ipv4", 1):
            raise self.invalid("hypervisorId", "no hypervisor in the group can take this server")
        if is_dry_run:
            return None
        number = self.next_id()
        server: JsonObject = {
            "id": number,
            "ownerId": user["id"],
            "hypervisorId": hypervisor["id"],
            "name": f"vf-{number}",
            "uuid": str(uuid4()),
            "resources": resources,
            "suspended": False,
            "built": None,
            "buildFailed": False,
            "builds": 0,
            "os": None,
            "ssh_keys": [],
            "power": "shutoff",
            "address": f"198.51.100.{number % 250}",
            "created_at": self.clock.now(),
        }
        self.servers.append(server)
        return server

    def build(self, server: JsonObject, body: JsonObject) -> None:
        """Install a system, in the queue; what was there is erased. Raises Refused."""
        self.require_unlocked(server)
        if body.get("operatingSystemId") not in TEMPLATES:
            raise self.invalid("operatingSystemId", "the selected operating system is invalid")
        own = {key["id"] for key in self.ssh_keys if key["userId"] == server["ownerId"]}
        if not own.issuperset(body.get("sshKeys") or []):
            raise self.invalid("sshKeys", "the selected ssh key is invalid")
        server |= {"buildFailed": False, "os": body["operatingSystemId"], "ssh_keys": body.get("sshKeys") or []}
        server |= {"builds": server["builds"] + 1, "name": body.get("name") or server["name"], "power": "shutoff"}
        self.queue("build", server, self.settings["build_seconds"], outcome=self.settings["build_outcome"])

    def queue(self, kind: str, server: JsonObject, seconds: float, **details: object) -> None:
        """Plan work, and do what takes no time at once."""
        job = {"kind": kind, "server": server["id"], "due_at": self.clock.now() + seconds, **details}
        self.jobs.append(job)
        self.run_due()

    def run_due(self) -> None:
        """Do the planned work whose time has come."""
        for job in [each for each in self.jobs if each["due_at"] <= self.clock.now()]:
            self.jobs.remove(job)
            server = next((row for row in self.servers if row["id"] == job["server"]), None)
            if server is None:
                continue
            match job["kind"]:
                case "build":
                    is_built = job["outcome"] == "ok"
                    server["buildFailed"] = not is_built
                    if is_built:
                        server |= {"built": moment(self.clock.now()), "power": "running"}
                case "suspend":
                    server |= {"suspended": job["value"], "power": "shutoff"}
                case "power":
                    server["power"] = job["value"]
                case "delete":
                    self.servers.remove(server)

    def is_building(self, server: JsonObject) -> bool:
        """Whether a build of it is under way."""
        return any(job["server"] == server["id"] and job["kind"] == "build" for job in self.jobs)

    def require_unlocked(self, server: JsonObject) -> None:
        """Raise Refused 423 while a build is under way."""
        if self.is_building(server):
            raise Refused(423, {"msg": "server is locked"})

    def allocated(self, hypervisor: JsonObject, resource: str) -> int:
        """What its servers have of a resource, in the panel's unit."""
        return sum(each["resources"][resource] for each in self.servers if each["hypervisorId"] == hypervisor["id"])

    def _choose(self, group: JsonObject, resources: JsonObject) -> JsonObject | None:
        """The hypervisor with the most free memory that takes all of it; 0 is unlimited."""

        def fits(each: JsonObject) -> bool:
            names = ("memory", "storage", "cpuCores")
            limits = [(each[name], self.allocated(each, name) + resources[name]) for name in names]
            is_open = each["enabled"] and each["commissioned"] and not each["prohibit"]
            return is_open and all(not maximum or used <= maximum for maximum, used in limits)

        usable = [each for each in self.hypervisors if each["groupId"] == group["id"] and fits(each)]
        return max(usable, key=lambda each: each["memory"] - self.allocated(each, "memory"), default=None)

    def _named(self, rows: list[JsonObject], body: JsonObject, field: str) -> JsonObject:
        found = next((row for row in rows if row["id"] == body.get(field)), None)
        if found is None:
            raise self.invalid(field, f"the selected {field} is invalid")
        return found


def moment(at: float) -> str:
    """An instant as the panel writes it, in UTC without saying so."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
