"""Objects with their includes: ``{"object": …, "attributes": {…, "relationships": {…}}}``."""

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.pterodactyl import rows, shapes
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.errors import GENERIC, PanelError
from sandbox.pterodactyl.listing import Tree

Json = dict[str, Any]
NULL: Json = {"object": "null_resource", "attributes": None}
SHAPES: dict[type[rows.Row], tuple[str, Callable[..., Json]]] = {
    rows.User: ("user", shapes.user),
    rows.Node: ("node", shapes.node),
    rows.Location: ("location", shapes.location),
    rows.Allocation: ("allocation", shapes.allocation),
    rows.Nest: ("nest", shapes.nest),
    rows.Egg: ("egg", shapes.egg),
    rows.Server: ("server", shapes.server),
    rows.Database: ("server_database", shapes.database),
    rows.DatabaseHost: ("database_host", shapes.database_host),
    rows.Subuser: ("subuser", shapes.subuser),
}


def item(call: Call, row: rows.Row, tree: Tree | None = None, *, name: str | None = None) -> Json:
    """A record as the application API shows it, with the includes asked for."""
    kind, shape = SHAPES[type(row)]
    attributes = shape(call.panel.store, row)
    related = {}
    for each, branch in (tree or {}).items():
        known = INCLUDES.get((kind, each))
        if known is not None:
            right, relate = known
            related[each] = relate(call, row, branch) if call.may(right, right=1) else NULL
    if related:
        attributes["relationships"] = related
    return {"object": name or kind, "attributes": attributes}


def collection(call: Call, found: Iterable[rows.Row], tree: Tree, *, name: str | None = None) -> Json:
    """Records below another record."""
    return {"object": "list", "data": [item(call, row, tree, name=name) for row in found]}


def maybe(call: Call, row: rows.Row | None, tree: Tree) -> Json:
    """A record that may be absent."""
    return NULL if row is None else item(call, row, tree)


def egg_variables(_call: Call, egg: rows.Egg, _tree: Tree) -> Json:
    """The variables of an egg."""
    return {
        "object": "list",
        "data": [{"object": "egg_variable", "attributes": shapes.egg_variable(each, egg)} for each in egg.variables],
    }


def server_variables(call: Call, server: rows.Server, _tree: Tree) -> Json:
    """The egg's variables with the values this server has."""
    egg = call.panel.store.eggs.must(server.egg_id)
    return {
        "object": "list",
        "data": [
            {
                "object": "server_variable",
                "attributes": {
                    **shapes.egg_variable(each, egg),
                    "server_value": server.environment.get(each.env_variable),
                },
            }
            for each in egg.variables
        ],
    }


def transfer(_call: Call, _server: rows.Server, _tree: Tree) -> Json:
    """Announced by the panel, and broken there too. Raises a 500."""
    raise PanelError(500, "TypeError", GENERIC)


def password(_call: Call, row: rows.Database, _tree: Tree) -> Json:
    """The password of a database."""
    return {"object": "database_password", "attributes": {"password": row.password}}


Relate = Callable[[Call, Any, Tree], Json]


def one(table: str, attribute: str) -> Relate:
    """The record that an id of the row names."""
    return lambda call, row, tree: maybe(call, getattr(call.panel.store, table).get(getattr(row, attribute)), tree)


def many(table: str, attribute: str, name: str | None = None) -> Relate:
    """The records whose ``attribute`` is the row's id."""
    return lambda call, row, tree: collection(
        call, getattr(call.panel.store, table).where(**{attribute: row.id}), tree, name=name
    )


INCLUDES: dict[tuple[str, str], tuple[str, Relate]] = {
    ("user", "servers"): ("servers", many("servers", "user_id")),
    ("node", "allocations"): ("allocations", many("allocations", "node_id")),
    ("node", "location"): ("locations", one("locations", "location_id")),
    ("node", "servers"): ("servers", many("servers", "node_id")),
    ("location", "nodes"): ("nodes", many("nodes", "location_id")),
    ("location", "servers"): (
        "servers",
        lambda call, place, tree: collection(
            call,
            [
                server
                for node in call.panel.store.nodes.where(location_id=place.id)
                for server in call.panel.store.servers.where(node_id=node.id)
            ],
            tree,
        ),
    ),
    ("allocation", "node"): ("nodes", one("nodes", "node_id")),
    ("allocation", "server"): ("servers", one("servers", "server_id")),
    ("nest", "eggs"): ("eggs", many("eggs", "nest_id")),
    ("nest", "servers"): ("servers", many("servers", "nest_id")),
    ("egg", "nest"): ("nests", one("nests", "nest_id")),
    ("egg", "servers"): ("servers", many("servers", "egg_id")),
    ("egg", "variables"): ("eggs", egg_variables),
    ("egg", "config"): ("eggs", lambda _call, _row, _tree: NULL),
    ("egg", "script"): ("eggs", lambda _call, _row, _tree: NULL),
    ("server", "allocations"): ("allocations", many("allocations", "server_id")),
    ("server", "user"): ("users", one("users", "user_id")),
    ("server", "subusers"): ("users", many("subusers", "server_id")),
    ("server", "nest"): ("nests", one("nests", "nest_id")),
    ("server", "egg"): ("eggs", one("eggs", "egg_id")),
    ("server", "variables"): ("servers", server_variables),
    ("server", "location"): (
        "locations",
        lambda call, row, tree: item(
            call, call.panel.store.locations.must(call.panel.store.nodes.must(row.node_id).location_id), tree
        ),
    ),
    ("server", "node"): ("nodes", one("nodes", "node_id")),
    ("server", "databases"): ("server_databases", many("databases", "server_id", "databases")),
    ("server", "transfer"): ("servers", transfer),
    ("server_database", "password"): ("server_databases", password),
    ("server_database", "host"): ("database_hosts", one("database_hosts", "host_id")),
}
