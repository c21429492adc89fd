"""One host's engine: its containers, volumes and images, and what may be done with them."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from sandbox.state import JsonObject

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
NEVER = "0001-01-01T00:00:00Z"
MIN_MEMORY = 6 * 1024 * 1024
POLICIES = {"", "no", "always", "unless-stopped", "on-failure"}
# The fields that this engine has; any other is ignored, as a misspelt one would be.
HOST_CONFIG: JsonObject = {
    "Memory": 0,
    "MemorySwap": 0,
    "NanoCpus": 0,
    "CpuQuota": 0,
    "PidsLimit": None,
    "Ulimits": None,
    "Init": None,
    "Privileged": False,
    "CapAdd": None,
    "CapDrop": None,
    "SecurityOpt": None,
    "ReadonlyRootfs": False,
    "Tmpfs": None,
    "LogConfig": {"Type": "json-file", "Config": {}},
    "IpcMode": "private",
    "Mounts": None,
    "NetworkMode": "default",
    "PortBindings": {},
    "AutoRemove": False,
    "StorageOpt": None,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}
UPDATABLE = ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "PidsLimit")
CONFIG = ("Image", "User", "Env", "Cmd", "Entrypoint", "WorkingDir", "Labels", "ExposedPorts")
SETTINGS: JsonObject = {
    "cpus": 4,
    "min_api": "1.24",
    "max_api": "1.45",
    "stats_seconds": 1.0,  # how long two samples take
    "create_seconds": 0.0,  # in which a new container has its name and is not to be seen
    "has_disk_quota": False,
    "unknown_fields": [],  # of HostConfig, which an engine of another version would have
    "pull_seconds": 0.0,  # in which an image comes
    "taken_ports": [],  # by programs of the host
    "registry": {},  # by name and tag or digest: `good`, `corrupt`, a folder that it keeps; "*": `unreachable`
}


class Refused(Exception):
    """An error answer: a status, and the engine's own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Host:
    """The state of an engine, all of it plain JSON values. Times are unix seconds of the sandbox clock."""

    containers: dict[str, JsonObject] = field(default_factory=dict)
    volumes: dict[str, JsonObject] = field(default_factory=dict)
    images: dict[str, JsonObject] = field(default_factory=dict)
    settings: JsonObject = field(default_factory=lambda: dict(SETTINGS))
    reserved: list[str] = field(default_factory=list)  # the names of containers that are being created

    def find(self, ref: str) -> JsonObject:
        """A container by its id, its name or the beginning of its id. Raises Refused."""
        name = ref.removeprefix("/")
        rows = self.containers.values()
        found = next((row for row in rows if row["name"] == name), None)
        found = found or next((row for row in rows if row["id"].startswith(name)), None)
        if found is None:
            raise Refused(404, f"No such container: {ref}")
        return found

    def require_free_name(self, name: str) -> None:
        """A name that is allowed and that no container has. Raises Refused."""
        if not NAME.fullmatch(name):
            raise Refused(400, f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        if holder := next((each["id"] for each in self.containers.values() if each["name"] == name), None):
            message = f'Conflict. The container name "/{name}" is already in use by container "{holder}".'
            raise Refused(409, f"{message} You have to remove (or rename) that container to reuse that name.")
        if name in self.reserved:
            raise Refused(409, f'Conflict. The container name "/{name}" is already in use by container "".')

    def create(self, name: str, body: JsonObject, now: float) -> JsonObject:
        """A container that has not been started, with the volumes that it mounts. Raises Refused."""
        if body.get("Image") not in self.images:
            raise Refused(404, f"No such image: {body.get('Image')}")
        unknown = self.settings["unknown_fields"]
        given = {key: value for key, value in (body.get("HostConfig") or {}).items() if key not in unknown}
        config = {key: given[key] if given.get(key) is not None else default for key, default in HOST_CONFIG.items()}
        config["MemorySwap"] = config["MemorySwap"] or 2 * config["Memory"]
        self._require_valid(config)
        self.require_free_name(name)
        for mount in config["Mounts"] or []:
            options = mount.get("VolumeOptions") or {}
            driver = (options.get("DriverConfig") or {}).get("Options")
            self.create_volume({"Name": mount["Source"], "Labels": options.get("Labels"), "DriverOpts": driver}, now)
        number = secrets.token_hex(32)
        image = self.images[body["Image"]]["config"]
        self.containers[number] = {
            "id": number,
            "name": name,
            "created": now,
            "config": {key: body[key] if body.get(key) else image.get(key) for key in CONFIG} | {"Tty": False},
            "host_config": config,
            "status": "created",
            "exit_code": 0,
            "error": "",
            "oom_killed": False,
            "started_at": None,
            "is_stopped_by_user": False,
            "output": [],  # pairs of a stream, 1 or 2, and what was written there
        }
        return self.containers[number]

    def _require_valid(self, config: JsonObject) -> None:
        policy, memory = config["RestartPolicy"].get("Name", ""), config["Memory"]
        numbers = [each for bound in config["PortBindings"].values() for each in bound]
        if memory and memory < MIN_MEMORY:
            raise Refused(400, "Minimum memory limit allowed is 6MB")
        if config["MemorySwap"] > 0 and config["MemorySwap"] < memory:
            raise Refused(400, "Minimum memoryswap limit should be larger than memory limit, see usage")
        self._require_cpus(config["NanoCpus"])
        if config["NanoCpus"] and config["CpuQuota"]:
            raise Refused(400, "Conflicting options: Nano CPUs and CPU Quota cannot both be set.")
        if policy not in POLICIES:
            raise Refused(400, f"invalid restart policy '{policy}'")
        if config["AutoRemove"] and policy not in {"", "no"}:
            raise Refused(400, "can't create 'AutoRemove' container with restart policy")
        if any(not str(each.get("HostPort", "")).isdigit() or int(each["HostPort"]) > 65535 for each in numbers):
            raise Refused(400, "invalid port specification")
        if config["StorageOpt"]:
            raise Refused(500, "--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
        if any(":" not in each for each in config["SecurityOpt"] or []):
            raise Refused(500, "invalid --security-opt")

    def _require_cpus(self, nano: int) -> None:
        if nano < 0 or nano > self.settings["cpus"] * 10**9:
            available = f"as there are only {self.settings['cpus']} CPUs available"
            raise Refused(400, f"Range of CPUs is from 0.01 to {self.settings['cpus']}.00, {available}")

    def start(self, row: JsonObject, now: float) -> bool:
        """Start it; False where it runs already. A port that is taken leaves it as it is. Raises Refused."""
        if row["status"] in {"running", "restarting", "paused"}:
            return False
        try:
            for binding in bindings(row):
                self._require_free_port(row, binding)
        except Refused as error:
            row |= {"error": error.message, "exit_code": 128}
            raise
        row["output"].append([1, f"\x1b[32mstarted\x1b[0m {' '.join(row['config']['Cmd'] or [])}\n"])
        row |= {"status": "running", "started_at": now, "error": "", "exit_code": 0, "is_stopped_by_user": False}
        return True

    def _require_free_port(self, row: JsonObject, binding: JsonObject) -> None:
        place = f"{binding['HostIp']}:{binding['HostPort']}"
        failed = f"driver failed programming external connectivity on endpoint {row['name']}"
        if int(binding["HostPort"]) in self.settings["taken_ports"]:
            proxy = f"Error starting userland proxy: listen tcp4 {place}: bind: address already in use"
            raise Refused(500, f"{failed}: {proxy}")
        for other in self.containers.values():
            if other is not row and other["status"] == "running" and binding in bindings(other):
                raise Refused(500, f"{failed}: Bind for {place} failed: port is already allocated")

    def end(self, row: JsonObject, exit_code: int) -> bool:
        """End its program because somebody asked; False where it does not run."""
        if row["status"] in {"created", "exited"}:
            return False
        row |= {"status": "exited", "exit_code": exit_code, "is_stopped_by_user": True}
        return True

    def update(self, row: JsonObject, body: JsonObject) -> None:
        """Change limits or the restart policy, at once; what is 0 or unknown stays as it is. Raises Refused."""
        config, wanted = row["host_config"], {key: body[key] for key in UPDATABLE if body.get(key)}
        self._require_cpus(wanted.get("NanoCpus", 0))
        if wanted.get("CpuQuota") and config["NanoCpus"]:
            raise Refused(409, "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
        if wanted.get("Memory", 0) > wanted.get("MemorySwap", config["MemorySwap"]) > 0:
            raise Refused(409, "Memory limit should be smaller than already set memoryswap limit")
        policy = body.get("RestartPolicy") or {}
        if policy.get("Name", "") not in POLICIES:
            raise Refused(400, f"invalid restart policy '{policy['Name']}'")
        config.update(wanted)
        if policy.get("Name"):
            config["RestartPolicy"] = {"Name": policy["Name"], "MaximumRetryCount": 0}

    def remove(self, row: JsonObject, *, is_forced: bool) -> None:
        """Remove it; its named volumes stay. Raises Refused."""
        if row["status"] not in {"created", "exited"} and not is_forced:
            raise Refused(409, f"You cannot remove a running container {row['id']}. Stop the container before")
        del self.containers[row["id"]]

    def create_volume(self, body: JsonObject, now: float) -> JsonObject:
        """The volume of this name: one that is there stays as it is, whatever is asked for. Raises Refused."""
        name, options = str(body.get("Name") or ""), body.get("DriverOpts") or {}
        if not NAME.fullmatch(name):
            raise Refused(400, f'create {name}: "{name}" includes invalid characters for a local volume name')
        if name not in self.volumes:
            if options.get("size") and not self.settings["has_disk_quota"]:
                raise Refused(400, f"create {name}: quota size requested but no quota support")
            labels = body.get("Labels") or {}
            self.volumes[name] = {"Name": name, "Driver": "local", "Labels": labels, "Options": options, "created": now}
        return self.volumes[name]

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container mounts, running or not. Raises Refused."""
        if name not in self.volumes:
            raise Refused(404, f"get {name}: no such volume")
        for row in self.containers.values():
            if any(mount["Source"] == name for mount in row["host_config"]["Mounts"] or []):
                raise Refused(409, f"remove {name}: volume is in use - [{row['id']}]")
        del self.volumes[name]

    def pull(self, image: str) -> list[JsonObject]:
        """The lines that an engine says; a failure after the start is one of them. Raises Refused."""
        registry, name = self.settings["registry"], re.split(r"[:@]", image)[0]
        if registry.get("*") == "unreachable":
            raise Refused(500, "Get https://registry/v2/: dial tcp 192.0.2.1:443: connect: connection refused")
        if image not in registry:
            raise Refused(404, f"manifest for {image} not found: manifest unknown: manifest unknown")
        layers, size = ["a3ed95caeb02", "6f4a0b7c21de"], {"current": 1048576, "total": 3145728}
        lines: list[JsonObject] = [{"status": f"Pulling from {name}", "id": image.rpartition(":")[2]}]
        lines += [{"status": "Pulling fs layer", "progressDetail": {}, "id": layer} for layer in layers]
        for layer in layers:
            lines.append({"status": "Downloading", "progressDetail": size, "id": layer})
            steps = ("Verifying Checksum", "Download complete", "Pull complete")
            lines += [{"status": step, "progressDetail": {}, "id": layer} for step in steps]
        if registry[image] == "corrupt":
            text = "filesystem layer verification failed for digest sha256:6f4a0b7c21de"
            return [*lines[:4], {"errorDetail": {"message": text}, "error": text}]
        return [*lines, {"status": f"Status: Downloaded newer image for {image}"}]

    def keep_pulled(self, image: str) -> None:
        """What was pulled whole is there from now on."""
        folder = self.settings["registry"][image]
        self.add_image(image, Volumes={folder: {}} if folder.startswith("/") else None)

    def add_image(self, image: str, **config: Any) -> None:
        """An image that the host has."""
        number = f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
        self.images[image] = {
            "id": number,
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Volumes": None, **config},
        }

    def restart_engine(self, now: float) -> None:
        """The engine stops, with its containers, and starts those whose restart policy says so."""
        for row in self.containers.values():
            was_running, policy = row["status"] == "running", row["host_config"]["RestartPolicy"]["Name"]
            if was_running:
                row |= {"status": "exited", "exit_code": 143}
            is_kept = policy == "unless-stopped" and not row["is_stopped_by_user"]
            if policy == "always" or (policy == "on-failure" and was_running) or (was_running and is_kept):
                self.start(row, now)


def bindings(row: JsonObject) -> list[JsonObject]:
    """What it publishes, each with its kind of port."""
    return [
        {"HostIp": each.get("HostIp", ""), "HostPort": each["HostPort"], "kind": port.partition("/")[2] or "tcp"}
        for port, bound in row["host_config"]["PortBindings"].items()
        for each in bound
    ]
