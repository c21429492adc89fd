"""The control routes of the panel, below ``/_control/pterodactyl``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.pterodactyl import eggs, jobs, keys, lifecycle, seed
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Nest, Node, Row
from sandbox.pterodactyl.settings import BadSetting

SECRETS = {"secret", "password", "token"}
TABLES = ("servers", "users", "allocations", "backups", "databases", "schedules", "nodes")


class PanelControl:
    """What tests and the demo do to the panel from outside."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def routes(self) -> list[BaseRoute]:
        """Every control route."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/seed", self.seed, methods=["POST"]),
            Route("/keys", self.read_keys, methods=["GET"]),
            Route("/keys", self.make_key, methods=["POST"]),
            Route("/eggs", self.import_eggs, methods=["POST"]),
            Route("/nodes/{node}", self.change_node, methods=["POST"]),
            Route("/nodes/{node}/restart", self.restart_node, methods=["POST"]),
            Route("/servers/{server}/transfer", self.transfer_server, methods=["POST"]),
            Route("/servers/{server}/subusers", self.let_in, methods=["POST"]),
        ]

    def saved(self, content: Any, status: int = 200) -> Response:
        """Save the panel and answer."""
        self.panel.save()
        return JSONResponse(content, status_code=status)

    async def state(self, _request: Request) -> Response:
        """Every row of the tables that change, without secrets, and the number of eggs."""
        jobs.run_due(self.panel)
        store = self.panel.store
        tables = {name: [without_secrets(row) for row in store.tables()[name]] for name in TABLES}
        return JSONResponse({**tables, "eggs": len(store.eggs)})

    async def change_settings(self, request: Request) -> Response:
        """Change some settings; the rest stay."""
        try:
            self.panel.settings.change(await json_body(request))
        except BadSetting as error:
            raise ControlError(str(error)) from error
        return self.saved(asdict(self.panel.settings))

    async def seed(self, request: Request) -> Response:
        """Load the seed, with other nodes if some are sent; the settings and the administrator's keys stay."""
        try:
            seed.load(self.panel.store, await json_body(request))
        except seed.BadSeed as error:
            raise ControlError(str(error)) from error
        self.panel.limiter.windows.clear()
        return self.saved({"url": self.panel.url})

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
        """Import a ``folder`` of exported eggs into a ``nest``, given by name and made when there is none."""
        body = await json_body(request)
        folder = Path(str(body.get("folder", "")))
        if not body.get("folder") or not folder.is_dir():
            raise ControlError("folder is not a directory")
        nests, name = self.panel.store.nests, str(body.get("nest", "Imported"))
        found = nests.where(name=name)
        nest = found[0] if found else nests.add(Nest(uuid=f"nest-{len(nests) + 1}", name=name))
        try:
            imported = eggs.import_folder(self.panel.store, nest, folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ControlError(f"a file is no exported egg: {error!r}") from error
        made = [{"file": file, "id": egg.id, "name": egg.name} for file, egg in imported]
        return self.saved({"nest": nest.id, "eggs": made}, 201)

    def find_node(self, request: Request) -> Node:
        """The node of the path. Raises ControlError."""
        node = self.panel.store.nodes.get(request.path_params["node"])
        if node is None:
            raise ControlError("there is no such node")
        return node

    async def change_node(self, request: Request) -> Response:
        """Change a node: ``memory``, ``disk``, over-allocation, ``public``, ``maintenance_mode``."""
        node = self.find_node(request)
        for name, value in (await json_body(request)).items():
            if name not in seed.NODE_FIELDS:
                raise ControlError(f"a node has no {name} to change")
            setattr(node, seed.NODE_FIELDS[name], value)
        return self.saved(without_secrets(node))

    async def restart_node(self, request: Request) -> Response:
        """Restart a node's daemon now."""
        lifecycle.restart_node(self.panel, self.find_node(request))
        return self.saved({})

    async def transfer_server(self, request: Request) -> Response:
        """Move a server to another ``node``, as an admin does on the panel's own pages."""
        body = await json_body(request)
        server = self.panel.store.servers.get(request.path_params["server"])
        node = self.panel.store.nodes.get(body.get("node", 0))
        if server is None or node is None or node.id == server.node_id:
            raise ControlError("there is no such server, or no other node of this id")
        try:
            lifecycle.transfer(self.panel, server, node)
        except LookupError as error:
            raise ControlError(str(error)) from error
        return self.saved(without_secrets(server))

    async def let_in(self, request: Request) -> Response:
        """Let the user ``user_id`` in on a server, as its owner does on the panel's own pages."""
        body = await json_body(request)
        server = self.panel.store.servers.get(request.path_params["server"])
        user = self.panel.store.users.get(body.get("user_id", 0))
        if server is None or user is None:
            raise ControlError("there is no such server, or no such user")
        server.subusers = [*server.subusers, user.id]
        return self.saved(without_secrets(server))


def without_secrets(row: Row) -> dict[str, Any]:
    """A row without its secrets."""
    return {name: value for name, value in asdict(row).items() if name not in SECRETS}
