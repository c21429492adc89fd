"""The calls below `/api/v1`: token, scope, work, answer."""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.state import JsonObject
from sandbox.virtfusion import objects
from sandbox.virtfusion.panel import STATES_OF_POWER, TOKEN, Panel, Refused, moment

MAX_RESULTS = 200


@dataclass(frozen=True)
class Call:
    """A call that the token may make."""

    path: dict[str, str]
    query: dict[str, str]
    body: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A success; without a body where `body` is None."""

    status: int
    body: JsonObject | None = None


type Work = Callable[[Call], Answer]


class Api:
    """The admin API of one control server."""

    def __init__(self, panel: Panel, save: Callable[[], None]) -> None:
        self._panel, self._save = panel, save

    def routes(self) -> list[BaseRoute]:
        """Every call that is known here."""
        calls: list[tuple[str, str, Work]] = [
            ("GET", "compute/hypervisors/groups", self.groups),
            ("GET", "compute/hypervisors/groups/{id}/resources", self.resources),
            ("POST", "users", self.create_user),
            ("GET", "users/{ext}/byExtRelation", self.read_user),
            ("PUT", "users/{ext}/byExtRelation", self.change_user),
            ("POST", "users/{ext}/serverAuthenticationTokens/{id}", self.sign_in_at_server),
            ("GET", "ssh_keys/user/{id}", self.keys_of_user),
            ("POST", "ssh_keys", self.add_key),
            ("GET", "servers", self.servers),
            ("POST", "servers", self.create_server),
            ("GET", "servers/user/{id}", self.servers_of_user),
            ("GET", "servers/{id}", self.read_server),
            ("DELETE", "servers/{id}", self.delete_server),
            ("POST", "servers/{id}/build", self.build),
            ("POST", "servers/{id}/resetPassword", self.reset_password),
            ("POST", "servers/{id}/suspend", self.suspend),
            ("POST", "servers/{id}/unsuspend", self.unsuspend),
            ("POST", "servers/{id}/power/{action}", self.power),
            ("PUT", "servers/{id}/package/{package}", self.change_package),
            ("PUT", "servers/{id}/modify/{field}", self.modify),
            ("PATCH", "servers/{id}/name", self.rename_old),
            ("PUT", "servers/{id}/owner/{user}", self.change_owner),
        ]
        routes: dict[str, dict[str, Work]] = {}
        for method, path, work in calls:
            routes.setdefault(path, {})[method] = work
        return [Route(f"/api/v1/{path}", self._serving(works), methods=list(works)) for path, works in routes.items()]

    async def refuse(self, _request: Request, status: int) -> Response:
        """An armed status fault."""
        bodies: dict[int, JsonObject | None] = {401: None, 423: {"msg": "server is locked"}}
        return _response(status, bodies.get(status, {"message": "Server Error"}))

    def _serving(self, works: dict[str, Work]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            raw = await request.body()
            try:
                if request.headers.get("authorization") != f"Bearer {TOKEN}":
                    raise Refused(401, None)
                if request.url.path.split("/api/v1/")[1].split("/")[0] not in self._panel.settings["scopes"]:
                    raise Refused(403, {"message": "Forbidden"})
                self._panel.run_due()
                call = Call(request.path_params, dict(request.query_params), json.loads(raw) if raw else {})
                answer = works[request.method](call)
            except Refused as refused:
                return _response(refused.status, refused.body)
            finally:
                self._save()
            return _response(answer.status, answer.body)

        return serve

    def groups(self, call: Call) -> Answer:
        """The hypervisor groups."""
        return _page(call, self._panel.groups)

    def resources(self, call: Call) -> Answer:
        """What each hypervisor of a group has."""
        group = self._panel.find(self._panel.groups, call.path["id"], "group not found")
        rows = [each for each in self._panel.hypervisors if each["groupId"] == group["id"]]
        return _page(call, [objects.resources(self._panel, row) for row in rows])

    def create_user(self, call: Call) -> Answer:
        """A user; address and keys of the store are unique."""
        body = {"extRelationId": None, "relStr": None, **call.body}
        if not body.get("name") or "@" not in str(body.get("email")):
            raise self._panel.invalid("email", "the name and email fields are required")
        for name in ("email", "extRelationId", "relStr"):
            if body[name] and any(each[name] == body[name] for each in self._panel.users):
                if self._panel.settings["duplicate_status"] == 409:
                    raise Refused(409, {"msg": "the user exists already"})
                raise self._panel.invalid(name, f"the {name} has already been taken")
        row = {name: body[name] for name in ("name", "email", "extRelationId", "relStr")}
        row |= {"id": self._panel.next_id(), "admin": False, "suspended": False}
        row |= {"created": moment(self._panel.clock.now())}
        self._panel.users.append(row)
        return Answer(201, {"data": objects.user(row) | {"password": "shown-once"}})

    def read_user(self, call: Call) -> Answer:
        """The user of a key of the store."""
        return Answer(200, {"data": objects.user(self._user(call))})

    def change_user(self, call: Call) -> Answer:
        """Another name or address."""
        row, email = self._user(call), call.body.get("email")
        if any(each["email"] == email and each is not row for each in self._panel.users):
            raise self._panel.invalid("email", "the email has already been taken")
        row |= {name: call.body[name] for name in ("name", "email") if name in call.body}
        return Answer(201, {"data": objects.user(row)})

    def _user(self, call: Call) -> JsonObject:
        name = "relStr" if call.query.get("relStr") == "true" else "extRelationId"
        found = next((each for each in self._panel.users if str(each[name]) == call.path["ext"]), None)
        if found is None:
            raise Refused(404, {"msg": "ext_relation_id not found"})
        return found

    def sign_in_at_server(self, call: Call) -> Answer:
        """Two tokens that sign a user in, once and for a minute, at a server of theirs."""
        owner, row = self._user(call), self._panel.server(call.path["id"])
        if row["ownerId"] != owner["id"]:
            raise Refused(404, {"msg": "server not found"})
        tokens = {"1": secrets.token_hex(8), "2": secrets.token_hex(8)}
        complete = f"/sso?1={tokens['1']}&2={tokens['2']}"
        expiry = {"ttl": 60, "expires": moment(self._panel.clock.now() + 60)}
        found = {"tokens": tokens, "endpoint": "/sso", "endpoint_complete": complete, "expiry": expiry}
        return Answer(200, {"data": {"authentication": found}})

    def keys_of_user(self, call: Call) -> Answer:
        """A user's public keys."""
        owner = self._panel.find(self._panel.users, call.path["id"], "user not found")
        return Answer(200, {"data": [key for key in self._panel.ssh_keys if key["userId"] == owner["id"]]})

    def add_key(self, call: Call) -> Answer:
        """One more public key, also one that is there already."""
        if not str(call.body.get("publicKey")).startswith(("ssh-", "ecdsa-")):
            raise self._panel.invalid("publicKey", "the public key is invalid")
        key = {name: call.body[name] for name in ("userId", "name", "publicKey")} | {"id": self._panel.next_id()}
        self._panel.ssh_keys.append(key)
        return Answer(201, {"data": key})

    def servers(self, call: Call) -> Answer:
        """Every server; with all its fields only as `type=full`."""
        return _page(
            call, [self._listed(row, is_full=call.query.get("type") == "full") for row in self._panel.listed()]
        )

    def servers_of_user(self, call: Call) -> Answer:
        """A user's servers."""
        owner = self._panel.find(self._panel.users, call.path["id"], "user not found")
        rows = [row for row in self._panel.listed() if row["ownerId"] == owner["id"]]
        return Answer(200, {"data": [self._listed(row, is_full=False) for row in rows]})

    def _listed(self, row: JsonObject, *, is_full: bool) -> JsonObject:
        shown = objects.server(self._panel, row)
        if is_full:
            return shown
        names = ("id", "uuid", "name", "hypervisorId", "suspended", "protected", "updated", "created")
        return {name: shown[name] for name in names} | {"owner": row["ownerId"], "commissioned": bool(row["built"])}

    def create_server(self, call: Call) -> Answer:
        """A server without a system, or with `dryRun` only whether there could be one."""
        row = self._panel.create_server(call.body, is_dry_run=call.query.get("dryRun") == "true")
        return Answer(201, {"data": objects.server(self._panel, row) if row else {}})

    def read_server(self, call: Call) -> Answer:
        """A server."""
        is_live = call.query.get("remoteState") == "true"
        return Answer(200, {"data": objects.server(self._panel, self._panel.server(call.path["id"]), is_live=is_live)})

    def delete_server(self, call: Call) -> Answer:
        """Gone after `delay` minutes, five by default; asking again starts them anew."""
        row = self._panel.server(call.path["id"])
        self._panel.require_unlocked(row)
        minutes = int(call.query.get("delay", 5))
        self._panel.jobs = [job for job in self._panel.jobs if job["server"] != row["id"]]
        self._panel.queue("delete", row, minutes * 60 + self._panel.settings["delete_seconds"])
        return Answer(204)

    def build(self, call: Call) -> Answer:
        """Install a system: a second time erases the first."""
        row = self._panel.server(call.path["id"])
        self._panel.build(row, call.body)
        return Answer(200 if self._is_new else 201, {"data": objects.server(self._panel, row)})

    def reset_password(self, call: Call) -> Answer:
        """Another password of root, set from the queue."""
        row = self._panel.server(call.path["id"])
        self._panel.require_unlocked(row)
        if call.body.get("user") not in {"root", "Administrator"}:
            raise self._panel.invalid("user", "the selected user is invalid")
        row["password"] = f"vf-{row['uuid'][:8]}-{self._panel.next_id()}"
        return Answer(200, {"data": {"queueId": self._panel.next_id(), "expectedPassword": row["password"]}})

    def suspend(self, call: Call) -> Answer:
        """Stop it and keep it stopped, from a queue."""
        return self._queue_suspension(call, is_suspended=True)

    def unsuspend(self, call: Call) -> Answer:
        """Lift the suspension, from a queue; nothing is started."""
        return self._queue_suspension(call, is_suspended=False)

    def _queue_suspension(self, call: Call, *, is_suspended: bool) -> Answer:
        row = self._panel.server(call.path["id"])
        self._panel.require_unlocked(row)
        self._panel.queue("suspend", row, self._panel.settings["suspend_seconds"], value=is_suspended)
        return Answer(204)

    def power(self, call: Call) -> Answer:
        """Boot, shut down, restart or power off, from a queue."""
        row, state = self._panel.server(call.path["id"]), STATES_OF_POWER.get(call.path["action"])
        if state is None:
            raise Refused(404, {"message": "The route could not be found."})
        self._panel.require_unlocked(row)
        if row["suspended"] or not row["built"]:
            raise Refused(409, {"msg": "server is suspended or not built"})
        self._panel.queue("power", row, 0, value=state)
        return Answer(200, {"data": {"queueId": self._panel.next_id()}}) if self._is_new else Answer(204)

    def change_package(self, call: Call) -> Answer:
        """Apply the chosen parts of another package. A disk never shrinks."""
        row = self._panel.server(call.path["id"])
        package = self._panel.find(self._panel.packages, call.path["package"], "package not found")
        self._panel.require_unlocked(row)
        parts = {"memory": "memory", "cpu": "cpuCores", "primaryNetworkTraffic": "traffic"}
        chosen = {name: package[name] for part, name in parts.items() if call.body.get(part)}
        if call.body.get("primaryDiskSize"):
            chosen["storage"] = max(package["primaryStorage"], row["resources"]["storage"])
        row["resources"] |= chosen
        return Answer(200, {"info": []}) if self._is_new else Answer(204)

    def modify(self, call: Call) -> Answer:
        """Another name, memory or number of cores."""
        row, name = self._panel.server(call.path["id"]), call.path["field"]
        if name not in {"name", "memory", "cpuCores"} or (name == "name" and not self._is_new):
            raise Refused(404, {"message": "The route could not be found."})
        if name == "name":
            row["name"] = str(call.body["name"])
        else:
            self._panel.require_unlocked(row)
            row["resources"][name] = int(call.body["cores" if name == "cpuCores" else name])
        return Answer(201, {"data": {}})

    def rename_old(self, call: Call) -> Answer:
        """The name before version 7."""
        row = self._panel.server(call.path["id"])
        if self._is_new:
            raise Refused(404, {"message": "The route could not be found."})
        row["name"] = str(call.body["name"])
        return Answer(204)

    def change_owner(self, call: Call) -> Answer:
        """Give the server to another user."""
        row = self._panel.server(call.path["id"])
        row["ownerId"] = self._panel.find(self._panel.users, call.path["user"], "user not found")["id"]
        return Answer(201, {"data": {}})

    @property
    def _is_new(self) -> bool:
        return bool(self._panel.settings["version"] >= 7)


def _page(call: Call, rows: list[JsonObject]) -> Answer:
    """A page of a list, in Laravel's envelope."""
    size, number = min(int(call.query.get("results", 20)), MAX_RESULTS), int(call.query.get("page", 1))
    last = max(1, -(-len(rows) // size))
    envelope = {"current_page": number, "last_page": last, "per_page": size, "total": len(rows)}
    following = f"?page={number + 1}" if number < last else None
    return Answer(200, envelope | {"data": rows[(number - 1) * size : number * size], "next_page_url": following})


def _response(status: int, body: JsonObject | None) -> Response:
    return Response(status_code=status) if body is None else JSONResponse(body, status_code=status)
