"""The control routes of the panel, below ``/_control/pterodactyl``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.pterodactyl import daemon, eggs, keys, lifecycle, seed, tokens
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Nest, Row, Subuser
from sandbox.pterodactyl.settings import BadSetting
from sandbox.pterodactyl.store import Table

SECRETS = {"secret", "password", "token"}


class PanelControl:
    """What tests and the demo do to the panel from outside."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def routes(self) -> list[BaseRoute]:
        """Every control route."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/settings", self.read_settings, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/seed", self.seed, methods=["GET", "POST"]),
            Route("/keys", self.read_keys, methods=["GET"]),
            Route("/keys", self.make_key, methods=["POST"]),
            Route("/eggs", self.import_eggs, methods=["POST"]),
            Route("/nodes/{node}", self.change_node, methods=["POST"]),
            Route("/nodes/{node}/restart", self.restart_node, methods=["POST"]),
            Route("/servers/{server}/finish-install", self.finish_install, methods=["POST"]),
            Route("/servers/{server}/token", self.make_token, methods=["POST"]),
            Route("/subusers", self.add_subuser, methods=["POST"]),
        ]

    def saved(self, content: Any, status: int = 200) -> Response:
        """Save the panel and answer."""
        self.panel.frame.state.save(self.panel)
        return JSONResponse(content, status_code=status)

    async def state(self, _request: Request) -> Response:
        """Every record, without secrets."""
        daemon.settle(self.panel)
        store = self.panel.store
        tables: dict[str, Table[Any]] = {
            "servers": store.servers,
            "users": store.users,
            "allocations": store.allocations,
        }
        tables |= {"backups": store.backups, "databases": store.databases, "nodes": store.nodes}
        listed = {name: open_rows(table) for name, table in tables.items()}
        for each in listed["allocations"]:
            holder = store.servers.get(each["server_id"])
            each["holder"] = holder.external_id or holder.uuid if holder else None
        return JSONResponse({**listed, "notes": list(self.panel.notes), "eggs": len(store.eggs)})

    async def read_settings(self, _request: Request) -> Response:
        """The settings."""
        return JSONResponse(self.panel.settings.dump())

    async def change_settings(self, request: Request) -> Response:
        """Change some settings; the rest stay."""
        try:
            self.panel.settings.change(await json_body(request))
        except BadSetting as error:
            raise ControlError(str(error)) from error
        return self.saved(self.panel.settings.dump())

    async def seed(self, request: Request) -> Response:
        """Load the seed, with own nodes if some are sent; the settings and the administrator's keys stay."""
        try:
            seed.load(self.panel, await json_body(request))
        except seed.BadSeed as error:
            raise ControlError(str(error)) from error
        self.panel.limiter.clear()
        counts = {name: len(table) for name, table in self.panel.store.tables().items()}
        return self.saved({"url": self.panel.url, "counts": counts})

    async def read_keys(self, _request: Request) -> Response:
        """The administrator's application key and client key, and the panel's address."""
        own = self.panel.store.keys.where(user_id=1, description="seeded")
        found = {"application" if key.is_application else "client": key.identifier + key.secret for key in own}
        return self.saved({"url": self.panel.url, **found})

    async def make_key(self, request: Request) -> Response:
        """Make a key: ``user_id``, ``kind`` application or client, ``allowed_ips``, ``rights``."""
        body = await json_body(request)
        owner = self.panel.store.users.get(body.get("user_id", 1))
        if owner is None:
            raise ControlError("there is no such user")
        prefix = "ptla_" if body.get("kind") == "application" else "ptlc_"
        key = keys.new_key(owner, prefix, allowed_ips=list(body.get("allowed_ips", [])))
        key.rights |= body.get("rights", {})
        self.panel.store.keys.add(key)
        return self.saved({"key": key.identifier + key.secret}, 201)

    async def import_eggs(self, request: Request) -> Response:
        """Import a folder of exported eggs: ``folder``, and the ``nest``'s name or id."""
        body = await json_body(request)
        folder = Path(str(body.get("folder", "")))
        if not body.get("folder") or not folder.is_dir():
            raise ControlError("folder is not a directory")
        nest = self.nest(body.get("nest", "Imported"))
        try:
            imported = eggs.import_folder(self.panel, nest, folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ControlError(f"a file is no exported egg: {error!r}") from error
        found = [{"file": name, "id": egg.id, "name": egg.name} for name, egg in imported]
        return self.saved({"nest": nest.id, "eggs": found}, 201)

    def nest(self, wanted: object) -> Nest:
        """The nest with this id or name, made when there is none."""
        nests = self.panel.store.nests
        found = nests.get(wanted) or next(iter(nests.where(name=wanted)), None)
        return found or nests.add(Nest(uuid=f"nest-{len(nests) + 1}", name=str(wanted)))

    async def change_node(self, request: Request) -> Response:
        """Change a node: ``memory``, ``disk``, over-allocation, ``public``, ``maintenance_mode``."""
        node = self.found(self.panel.store.nodes, request.path_params["node"])
        for name, value in (await json_body(request)).items():
            attribute = {**seed.NODE_SWITCHES, "memory": "memory", "disk": "disk"}.get(name)
            if attribute is None:
                raise ControlError(f"a node has no {name} to change")
            setattr(node, attribute, value)
        return self.saved(open_row(node))

    async def restart_node(self, request: Request) -> Response:
        """Restart a node's daemon now."""
        lifecycle.restart_node(self.panel, self.found(self.panel.store.nodes, request.path_params["node"]))
        return self.saved({})

    async def finish_install(self, request: Request) -> Response:
        """Let a server's install end now: ``outcome`` success or fail."""
        server = self.found(self.panel.store.servers, request.path_params["server"])
        outcome = (await json_body(request)).get("outcome", "success")
        if outcome not in {"success", "fail"}:
            raise ControlError("outcome is success or fail")
        daemon.cancel(self.panel, server, "install")
        lifecycle.finish_install(self.panel, server, outcome, at=self.panel.now())
        return self.saved(open_row(server))

    async def make_token(self, request: Request) -> Response:
        """Make a console token with own ``permissions`` and ``seconds``, for what the panel would not issue."""
        server = self.found(self.panel.store.servers, request.path_params["server"])
        body = await json_body(request)
        token = tokens.issue(
            self.panel.store.nodes.must(server.node_id).token,
            issuer=self.panel.url,
            audience=self.panel.url,
            now=self.panel.now(),
            seconds=body.get("seconds", self.panel.settings.token_seconds),
            server_uuid=server.uuid,
            permissions=body.get("permissions", ["websocket.connect"]),
        )
        return JSONResponse({"token": token})

    async def add_subuser(self, request: Request) -> Response:
        """Give a user a part in a server: ``server_id``, ``user_id``, ``permissions``."""
        body = await json_body(request)
        server = self.found(self.panel.store.servers, body.get("server_id"))
        user = self.found(self.panel.store.users, body.get("user_id"))
        permissions = list(body.get("permissions", ["websocket.connect"]))
        part = self.panel.store.subusers.add(Subuser(user_id=user.id, server_id=server.id, permissions=permissions))
        return self.saved(open_row(part), 201)

    def found[R: Row](self, table: Table[R], key: object) -> R:
        """A record by id. Raises ControlError."""
        row = table.get(key)
        if row is None:
            raise ControlError("there is no such record")
        return row


def open_row(row: Row) -> dict[str, Any]:
    """A record without its secrets."""
    return {name: value for name, value in asdict(row).items() if name not in SECRETS}


def open_rows(table: Table[Any]) -> list[dict[str, Any]]:
    """A table's records without their secrets."""
    return [open_row(row) for row in table]
