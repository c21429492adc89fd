"""The engine's calls, with and without a version before them: `/<host>/v1.45/containers/json`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPMethod

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from sandbox.docker.host import NEVER, Host, Refused, bindings
from sandbox.docker.hosts import Hosts
from sandbox.state import JsonObject

VERSION = re.compile(r"v([0-9]+)\.([0-9]+)/(.*)")
CPU_SHARE = 4  # each container uses a quarter of one core
MEMORY, CACHED = 48 * 1024 * 1024, 16 * 1024 * 1024
type Handler = Callable[["Call"], Awaitable[Response]]


class Call:
    """One request to a host, after its version was found to be one of those that the engine speaks."""

    def __init__(self, request: Request, host: Host, body: JsonObject, now: float, name: str) -> None:
        self.query, self.host, self.body, self.now, self.name = request.query_params, host, body, now, name

    def is_asked(self, flag: str) -> bool:
        """Whether a flag of the query is on."""
        return self.query.get(flag, "").lower() in {"1", "true"}

    def label(self) -> tuple[str, str] | None:
        """The label that a list is filtered by. Raises Refused for any other filter: no other is sent here."""
        filters = json.loads(self.query.get("filters") or "{}")
        if set(filters) - {"label"}:
            raise Refused(400, f"invalid filter '{', '.join(sorted(set(filters) - {'label'}))}'")
        name, _, value = str(next(iter(filters.get("label") or []), "")).partition("=")
        return (name, value) if name else None


class Api:
    """The calls to every host."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        containers, volumes = "containers/([^/]+)", "volumes/([^/]+)"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "_ping", self.ping),
            ("GET", "version", self.version),
            ("GET", "containers/json", self.list_containers),
            ("POST", "containers/create", self.create),
            ("GET", f"{containers}/json", self.inspect),
            ("GET", f"{containers}/logs", self.logs),
            ("GET", f"{containers}/stats", self.stats),
            ("POST", f"{containers}/start", self.start),
            ("POST", f"{containers}/stop", self.stop),
            ("POST", f"{containers}/restart", self.restart),
            ("POST", f"{containers}/kill", self.kill),
            ("POST", f"{containers}/rename", self.rename),
            ("POST", f"{containers}/update", self.update),
            ("DELETE", containers, self.remove),
            ("POST", "images/create", self.pull),
            ("GET", "images/(.+)/json", self.inspect_image),
            ("GET", "volumes", self.list_volumes),
            ("POST", "volumes/create", self.create_volume),
            ("GET", volumes, self.inspect_volume),
            ("DELETE", volumes, self.remove_volume),
        ]
        self._table = [(method, re.compile(path), handler) for method, path, handler in table]

    def routes(self) -> list[BaseRoute]:
        """One route: the table says which call it is."""
        return [Route("/{host}/{path:path}", self.serve, methods=list(HTTPMethod))]

    async def refuse(self, _request: Request, status: int) -> Response:
        """An armed status fault."""
        return JSONResponse({"message": "the engine is not well"}, status_code=status)

    async def serve(self, request: Request) -> Response:
        """Answer one call."""
        host, path = self._hosts.host(request.path_params["host"]), request.path_params["path"]
        try:
            if version := VERSION.fullmatch(path):
                path = version[3]
                require_spoken(host, (int(version[1]), int(version[2])))
            for method, pattern, handler in self._table:
                found = pattern.fullmatch(path)
                if found and method == request.method:
                    raw = await request.body()
                    name = found[1] if found.groups() else ""
                    return await handler(Call(request, host, json.loads(raw or b"{}"), self._hosts.clock.now(), name))
            raise Refused(404, "page not found")
        except Refused as error:
            return JSONResponse({"message": error.message}, status_code=error.status)

    async def ping(self, _call: Call) -> Response:
        """Whether it is there."""
        return Response("OK")

    async def version(self, call: Call) -> Response:
        """The versions that it speaks."""
        newest, oldest = call.host.settings["max_api"], call.host.settings["min_api"]
        return JSONResponse({"Version": "26.1.5", "ApiVersion": newest, "MinAPIVersion": oldest, "Os": "linux"})

    async def list_containers(self, call: Call) -> Response:
        """The containers, by one label; without `all` only those that run."""
        label = call.label()
        rows = [row for row in call.host.containers.values() if call.is_asked("all") or row["status"] == "running"]
        return JSONResponse([listed(row) for row in rows if has_label(row["config"]["Labels"], label)])

    async def create(self, call: Call) -> Response:
        """A container that is not started."""
        host, name = call.host, call.query.get("name", "").removeprefix("/")
        host.require_free_name(name)
        host.reserved.append(name)
        await asyncio.sleep(host.settings["create_seconds"])
        host.reserved.remove(name)
        row = host.create(name, call.body, call.now)
        return JSONResponse({"Id": row["id"], "Warnings": []}, status_code=201)

    async def inspect(self, call: Call) -> Response:
        """Everything about a container."""
        return JSONResponse(inspected(call.host.find(call.name)))

    async def stats(self, call: Call) -> Response:
        """Its counters: twice, which takes its time, or only once and then without the earlier ones."""
        row, cpus = call.host.find(call.name), call.host.settings["cpus"]
        if row["status"] != "running":
            return JSONResponse({"read": NEVER, "preread": NEVER, "cpu_stats": {"cpu_usage": {}}, "memory_stats": {}})
        is_single = call.is_asked("one-shot")
        await asyncio.sleep(0 if is_single else call.host.settings["stats_seconds"])
        memory = {"usage": MEMORY, "limit": row["host_config"]["Memory"], "stats": {"inactive_file": CACHED}}
        return JSONResponse(
            {
                "read": moment(call.now),
                "preread": NEVER if is_single else moment(call.now - 1),
                "cpu_stats": counters(call.now, row["started_at"], cpus),
                "precpu_stats": {"cpu_usage": {}} if is_single else counters(call.now - 1, row["started_at"], cpus),
                "memory_stats": memory,
                "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 500}},
            }
        )

    async def logs(self, call: Call) -> Response:
        """The end of its output: frames, each with its stream and its length before it."""
        row, tail = call.host.find(call.name), call.query.get("tail", "all")
        streams = [number for number, name in ((1, "stdout"), (2, "stderr")) if call.is_asked(name)]
        if not streams:
            raise Refused(400, "Bad parameters: you must choose at least one stream")
        lines = [(stream, text.encode()) for stream, text in row["output"] if stream in streams]
        last = lines[-int(tail) :] if tail.isdigit() else lines
        frames = [bytes([stream, 0, 0, 0]) + len(text).to_bytes(4) + text for stream, text in last]
        return Response(b"".join(frames), media_type="application/vnd.docker.multiplexed-stream")

    async def start(self, call: Call) -> Response:
        """Start it; 304 where it runs."""
        is_started = call.host.start(call.host.find(call.name), call.now)
        return Response(status_code=204 if is_started else 304)

    async def stop(self, call: Call) -> Response:
        """Stop it; 304 where it does not run."""
        is_ended = call.host.end(call.host.find(call.name), 0)
        return Response(status_code=204 if is_ended else 304)

    async def restart(self, call: Call) -> Response:
        """Stop and start it."""
        row = call.host.find(call.name)
        call.host.end(row, 0)
        call.host.start(row, call.now)
        return Response(status_code=204)

    async def kill(self, call: Call) -> Response:
        """Kill it."""
        row = call.host.find(call.name)
        if not call.host.end(row, 137):
            raise Refused(409, f"Cannot kill container: {call.name}: Container {row['id']} is not running")
        return Response(status_code=204)

    async def rename(self, call: Call) -> Response:
        """Give it another name."""
        row, name = call.host.find(call.name), call.query.get("name", "").removeprefix("/")
        call.host.require_free_name(name)
        row["name"] = name
        return Response(status_code=204)

    async def update(self, call: Call) -> Response:
        """Change its limits or its restart policy."""
        call.host.update(call.host.find(call.name), call.body)
        return JSONResponse({"Warnings": None})

    async def remove(self, call: Call) -> Response:
        """Remove it."""
        call.host.remove(call.host.find(call.name), is_forced=call.is_asked("force"))
        return Response(status_code=204)

    async def pull(self, call: Call) -> Response:
        """Pull an image, line by line."""
        tag = call.query.get("tag", "latest")
        image = f"{call.query.get('fromImage', '')}{'@' if tag.startswith('sha256:') else ':'}{tag}"
        lines = call.host.pull(image)

        async def spoken() -> AsyncIterator[str]:
            for line in lines:
                await asyncio.sleep(call.host.settings["pull_seconds"] / len(lines))
                yield json.dumps(line) + "\r\n"
            if "error" not in lines[-1]:
                call.host.keep_pulled(image)

        return StreamingResponse(spoken(), media_type="application/json")

    async def inspect_image(self, call: Call) -> Response:
        """An image that the host has."""
        if call.name not in call.host.images:
            raise Refused(404, f"No such image: {call.name}")
        image = call.host.images[call.name]
        return JSONResponse({"Id": image["id"], "RepoTags": [call.name], "Config": image["config"]})

    async def list_volumes(self, call: Call) -> Response:
        """The volumes, by one label; null where there are none."""
        label = call.label()
        return JSONResponse(
            {"Volumes": [row for row in call.host.volumes.values() if has_label(row["Labels"], label)] or None}
        )

    async def create_volume(self, call: Call) -> Response:
        """A volume."""
        return JSONResponse(call.host.create_volume(call.body, call.now), status_code=201)

    async def inspect_volume(self, call: Call) -> Response:
        """One volume."""
        if call.name not in call.host.volumes:
            raise Refused(404, f"get {call.name}: no such volume")
        return JSONResponse(call.host.volumes[call.name])

    async def remove_volume(self, call: Call) -> Response:
        """Remove a volume."""
        call.host.remove_volume(call.name)
        return Response(status_code=204)


def require_spoken(host: Host, version: tuple[int, int]) -> None:
    """Refuse a version that the engine does not speak."""
    newest, oldest = host.settings["max_api"], host.settings["min_api"]
    said = f"client version {version[0]}.{version[1]}"
    if version > tuple(map(int, newest.split("."))):
        raise Refused(400, f"{said} is too new. Maximum supported API version is {newest}")
    if version < tuple(map(int, oldest.split("."))):
        raise Refused(400, f"{said} is too old. Minimum supported API version is {oldest}")


def has_label(labels: JsonObject | None, wanted: tuple[str, str] | None) -> bool:
    """Whether a label has this value; without a value, whether it is there."""
    if wanted is None:
        return True
    name, value = wanted
    return name in (labels or {}) and (not value or (labels or {})[name] == value)


def counters(now: float, started_at: float, cpus: int) -> JsonObject:
    """What the container and the whole host have used, in nanoseconds."""
    used = max(0, int((now - started_at) * 10**9)) // CPU_SHARE
    return {"cpu_usage": {"total_usage": used}, "system_cpu_usage": int(now * 10**9) * cpus, "online_cpus": cpus}


def listed(row: JsonObject) -> JsonObject:
    """A container in a list, which does not say its limits."""
    ports = [
        {"IP": each["HostIp"], "PublicPort": int(each["HostPort"]), "PrivatePort": 0, "Type": each["kind"]}
        for each in bindings(row)
    ]
    return {
        "Id": row["id"],
        "Names": [f"/{row['name']}"],
        "Image": row["config"]["Image"],
        "Labels": row["config"]["Labels"] or {},
        "State": row["status"],
        "Ports": ports if row["status"] == "running" else [],
    }


def inspected(row: JsonObject) -> JsonObject:
    """A container in detail. One that is restarting or paused also counts as running."""
    is_running = row["status"] in {"running", "restarting", "paused"}
    state = {
        "Status": row["status"],
        "Running": is_running,
        "OOMKilled": row["oom_killed"],
        "ExitCode": row["exit_code"],
        "Error": row["error"],
        "StartedAt": moment(row["started_at"]) if row["started_at"] else NEVER,
    }
    return {
        "Id": row["id"],
        "Name": f"/{row['name']}",
        "Created": moment(row["created"]),
        "State": state,
        "Config": row["config"],
        "HostConfig": row["host_config"],
        "NetworkSettings": {"Ports": row["host_config"]["PortBindings"] if is_running else {}},
    }


def moment(at: float) -> str:
    """An instant as the engine writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
