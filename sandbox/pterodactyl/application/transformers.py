"""The application API's objects, with their includes.

``{"object": …, "attributes": {…, "relationships": {…}}}``, as the panel's own transformers write them.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.pterodactyl import transformers
from sandbox.pterodactyl.call import READ, Call
from sandbox.pterodactyl.listing import Includes, included, paginated
from sandbox.pterodactyl.rows import (
    Allocation,
    Database,
    DatabaseHost,
    Egg,
    EggVariable,
    Location,
    Nest,
    Node,
    Row,
    Server,
    User,
)
from sandbox.pterodactyl.store import Store
from sandbox.pterodactyl.transformers import Json, timestamp

NULL: Json = {"object": "null_resource", "attributes": None}


def item(call: Call, row: Row, tree: Includes | None = None) -> Json:
    """A row as the API shows it, with the includes of the tree, or else those that the request asks for."""
    kind, attributes_of = TRANSFORMERS[type(row)]
    attributes = attributes_of(call.panel.store, row)
    related = {}
    for each, branch in (included(call) if tree is None else tree).items():
        if (kind, each) in INCLUDES:
            resource, relate = INCLUDES[kind, each]
            related[each] = relate(call, row, branch) if call.has_right(resource, READ) else NULL
    if related:
        attributes["relationships"] = related
    return transformers.item(kind, attributes)


def created(call: Call, row: Row, path: str) -> Json:
    """A new row as the API shows it, with its address."""
    return {**item(call, row), "meta": {"resource": f"{call.panel.url}/api/application/{path}/{row.id}"}}


def page[R: Row](call: Call, rows: Iterable[R]) -> Json:
    """One page of rows."""
    return paginated(call, list(rows), lambda row: item(call, row))


def timestamps(row: Row) -> Json:
    """The two times of a row."""
    return {"created_at": timestamp(row.created_at), "updated_at": timestamp(row.updated_at)}


def object_or_list(value: Mapping[str, Any]) -> Any:
    """An empty object is written as an empty list."""
    return dict(value) or []


def user(_store: Store, row: User) -> Json:
    """Attributes of a user."""
    return {
        "id": row.id,
        "external_id": row.external_id,
        "uuid": row.uuid,
        "username": row.username,
        "email": row.email,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "language": row.language,
        "root_admin": row.is_root_admin,
        "2fa": False,
        **timestamps(row),
    }


def node(store: Store, row: Node) -> Json:
    """Attributes of a node, with the sums over its servers."""
    servers = store.servers.where(node_id=row.id)
    return {
        "id": row.id,
        "uuid": row.uuid,
        "public": row.is_public,
        "name": row.name,
        "description": row.description,
        "location_id": row.location_id,
        "fqdn": row.fqdn,
        "scheme": row.scheme,
        "behind_proxy": row.is_behind_proxy,
        "maintenance_mode": row.is_under_maintenance,
        "memory": row.memory,
        "memory_overallocate": row.memory_overallocate,
        "disk": row.disk,
        "disk_overallocate": row.disk_overallocate,
        "upload_size": row.upload_size,
        "daemon_listen": row.daemon_listen,
        "daemon_sftp": row.daemon_sftp,
        "daemon_base": row.daemon_base,
        **timestamps(row),
        "allocated_resources": {
            "memory": sum(server.memory for server in servers),
            "disk": sum(server.disk for server in servers),
        },
    }


def location(_store: Store, row: Location) -> Json:
    """Attributes of a location."""
    return {"id": row.id, "short": row.short, "long": row.long, **timestamps(row)}


def allocation(_store: Store, row: Allocation) -> Json:
    """Attributes of an allocation; its server is only an include."""
    return {
        "id": row.id,
        "ip": row.ip,
        "alias": row.ip_alias,
        "port": row.port,
        "notes": row.notes,
        "assigned": row.server_id is not None,
    }


def nest(_store: Store, row: Nest) -> Json:
    """Attributes of a nest."""
    return {
        "id": row.id,
        "uuid": row.uuid,
        "author": row.author,
        "name": row.name,
        "description": row.description,
        **timestamps(row),
    }


def egg(_store: Store, row: Egg) -> Json:
    """Attributes of an egg."""
    return {
        "id": row.id,
        "uuid": row.uuid,
        "name": row.name,
        "nest": row.nest_id,
        "author": row.author,
        "description": row.description,
        "docker_image": next(iter(row.docker_images.values()), ""),
        "docker_images": object_or_list(row.docker_images),
        "config": {
            "files": object_or_list(row.config.get("files", {})),
            "startup": object_or_list(row.config.get("startup", {})),
            "stop": row.config.get("stop"),
            "logs": object_or_list(row.config.get("logs", {})),
            "file_denylist": row.file_denylist,
            "extends": None,
        },
        "startup": row.startup,
        "script": {**row.script, "privileged": True, "extends": None},
        **timestamps(row),
    }


def raw_timestamp(at: float) -> str:
    """An instant as raw rows have it, such as ``2026-01-31T12:00:00.000000Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def egg_variable(variable: EggVariable, owner: Egg) -> Json:
    """Attributes of an egg's variable: the raw row."""
    return {
        "id": variable.id,
        "egg_id": owner.id,
        "name": variable.name,
        "description": variable.description,
        "env_variable": variable.env_variable,
        "default_value": variable.default_value,
        "user_viewable": variable.is_user_viewable,
        "user_editable": variable.is_user_editable,
        "rules": variable.rules,
        "created_at": raw_timestamp(owner.created_at),
        "updated_at": raw_timestamp(owner.updated_at),
    }


def server(store: Store, row: Server) -> Json:
    """Attributes of a server; its environment has every egg variable and four that the panel adds."""
    egg = store.eggs.get_or_404(row.egg_id)
    location = store.locations.get_or_404(store.nodes.get_or_404(row.node_id).location_id)
    return {
        "id": row.id,
        "external_id": row.external_id,
        "uuid": row.uuid,
        "identifier": row.identifier,
        "name": row.name,
        "description": row.description,
        "status": row.status,
        "suspended": row.status == "suspended",
        "limits": transformers.limits(row),
        "feature_limits": transformers.feature_limits(row),
        "user": row.user_id,
        "node": row.node_id,
        "allocation": row.allocation_id,
        "nest": row.nest_id,
        "egg": row.egg_id,
        "container": {
            "startup_command": row.startup,
            "image": row.image,
            "installed": 0 if row.status in {"installing", "install_failed"} else 1,
            "environment": {
                **{each.env_variable: row.environment.get(each.env_variable, "") for each in egg.variables},
                "STARTUP": row.startup,
                "P_SERVER_LOCATION": location.short,
                "P_SERVER_UUID": row.uuid,
                "P_SERVER_ALLOCATION_LIMIT": row.allocation_limit,
            },
        },
        **timestamps(row),
    }


def database(_store: Store, row: Database) -> Json:
    """Attributes of a server's database; the password is only an include."""
    return {
        "id": row.id,
        "server": row.server_id,
        "host": row.host_id,
        "database": row.database,
        "username": row.username,
        "remote": row.remote,
        "max_connections": row.max_connections,
        **timestamps(row),
    }


def database_host(_store: Store, row: DatabaseHost) -> Json:
    """Attributes of a database host."""
    return {
        "id": row.id,
        "name": row.name,
        "host": row.host,
        "port": row.port,
        "username": row.username,
        "node": row.node_id,
        **timestamps(row),
    }


def variables(_call: Call, row: Egg, _tree: Includes) -> Json:
    """The variables of an egg."""
    return transformers.plain_list(transformers.item("egg_variable", egg_variable(each, row)) for each in row.variables)


def server_variables(call: Call, row: Server, _tree: Includes) -> Json:
    """The variables of the server's egg, with the server's values."""
    owner = call.panel.store.eggs.get_or_404(row.egg_id)
    return transformers.plain_list(
        transformers.item(
            "server_variable",
            {**egg_variable(each, owner), "server_value": row.environment.get(each.env_variable)},
        )
        for each in owner.variables
    )


def server_location(call: Call, row: Server, tree: Includes) -> Json:
    """The location of the server's node."""
    store = call.panel.store
    return item(call, store.locations.get_or_404(store.nodes.get_or_404(row.node_id).location_id), tree)


def password(_call: Call, row: Database, _tree: Includes) -> Json:
    """The password of a database."""
    return transformers.item("database_password", {"password": row.password})


Relate = Callable[[Call, Any, Includes], Json]


def one(table: str, column: str) -> Relate:
    """The row whose id is in a column."""

    def relate(call: Call, row: Row, tree: Includes) -> Json:
        related = getattr(call.panel.store, table).get(getattr(row, column))
        return NULL if related is None else item(call, related, tree)

    return relate


def many(table: str, column: str) -> Relate:
    """The rows that have this row's id in a column."""

    def relate(call: Call, row: Row, tree: Includes) -> Json:
        related = getattr(call.panel.store, table).where(**{column: row.id})
        return transformers.plain_list(item(call, each, tree) for each in related)

    return relate


TRANSFORMERS: dict[type[Row], tuple[str, Callable[[Store, Any], Json]]] = {
    User: ("user", user),
    Node: ("node", node),
    Location: ("location", location),
    Allocation: ("allocation", allocation),
    Nest: ("nest", nest),
    Egg: ("egg", egg),
    Server: ("server", server),
    Database: ("server_database", database),
    DatabaseHost: ("database_host", database_host),
}
INCLUDES: dict[tuple[str, str], tuple[str, Relate]] = {
    ("user", "servers"): ("servers", many("servers", "user_id")),
    ("node", "allocations"): ("allocations", many("allocations", "node_id")),
    ("node", "location"): ("locations", one("locations", "location_id")),
    ("allocation", "node"): ("nodes", one("nodes", "node_id")),
    ("allocation", "server"): ("servers", one("servers", "server_id")),
    ("nest", "eggs"): ("eggs", many("eggs", "nest_id")),
    ("egg", "variables"): ("eggs", variables),
    ("server", "allocations"): ("allocations", many("allocations", "server_id")),
    ("server", "user"): ("users", one("users", "user_id")),
    ("server", "nest"): ("nests", one("nests", "nest_id")),
    ("server", "egg"): ("eggs", one("eggs", "egg_id")),
    ("server", "variables"): ("servers", server_variables),
    ("server", "location"): ("locations", server_location),
    ("server", "node"): ("nodes", one("nodes", "node_id")),
    ("server_database", "password"): ("server_databases", password),
    ("server_database", "host"): ("database_hosts", one("database_hosts", "host_id")),
}
