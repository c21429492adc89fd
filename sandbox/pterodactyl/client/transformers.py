"""The client API's objects."""

import re

from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.rows import Allocation, Backup, Database, EggVariable, Server, User
from sandbox.pterodactyl.store import Store
from sandbox.pterodactyl.transformers import Json, feature_limits, item, limits, plain_list, timestamp

VARIABLE = re.compile(r"\{\{\s*(?:server\.environment\.|env\.)?(\w+)\s*\}\}")


def allocation(server: Server, row: Allocation) -> Json:
    """An allocation of a server."""
    return item(
        "allocation",
        {
            "id": row.id,
            "ip": row.ip,
            "ip_alias": row.ip_alias,
            "port": row.port,
            "notes": row.notes,
            "is_default": server.allocation_id == row.id,
        },
    )


def subuser(user: User) -> Json:
    """Somebody who was let in on a server, with what the shop reads."""
    return item("server_subuser", {"uuid": user.uuid, "username": user.username, "email": user.email})


def variable(server: Server, row: EggVariable) -> Json:
    """An egg variable with the value of a server."""
    return item(
        "egg_variable",
        {
            "name": row.name,
            "description": row.description,
            "env_variable": row.env_variable,
            "default_value": row.default_value,
            "server_value": server.environment.get(row.env_variable, ""),
            "is_editable": row.is_user_editable,
            "rules": row.rules,
        },
    )


def variables(store: Store, server: Server) -> list[Json]:
    """The variables that a user may see."""
    egg = store.eggs.get_or_404(server.egg_id)
    return [variable(server, each) for each in egg.variables if each.is_user_viewable]


def startup_command(store: Store, server: Server) -> str:
    """The startup with the values of its variables, except hidden ones."""
    egg = store.eggs.get_or_404(server.egg_id)
    primary = store.allocations.get_or_404(server.allocation_id)
    values = {"SERVER_MEMORY": str(server.memory), "SERVER_IP": primary.ip, "SERVER_PORT": str(primary.port)}
    for each in egg.variables:
        value = server.environment.get(each.env_variable, "")
        values[each.env_variable] = value if each.is_user_viewable else "[hidden]"
    return VARIABLE.sub(lambda match: values.get(match[1], match[0]), server.startup)


def server(call: Call, row: Server) -> Json:
    """A server with its allocations and variables."""
    store = call.panel.store
    node, egg = store.nodes.get_or_404(row.node_id), store.eggs.get_or_404(row.egg_id)
    attributes = {
        "server_owner": row.user_id == call.user.id,
        "identifier": row.identifier,
        "internal_id": row.id,
        "uuid": row.uuid,
        "name": row.name,
        "node": node.name,
        "is_node_under_maintenance": node.is_under_maintenance,
        "sftp_details": {"ip": node.fqdn, "port": node.daemon_sftp},
        "description": row.description,
        "limits": limits(row),
        "invocation": startup_command(store, row),
        "docker_image": row.image,
        "egg_features": egg.features or None,
        "feature_limits": feature_limits(row),
        "status": row.status,
        "is_suspended": row.status == "suspended",
        "is_installing": row.status in {"installing", "install_failed"},
        "is_transferring": False,
        "relationships": {
            "allocations": plain_list(allocation(row, each) for each in store.allocations_of(row)),
            "variables": plain_list(variables(store, row)),
        },
    }
    return item("server", attributes)


def account(user: User) -> Json:
    """The user behind the key."""
    return item(
        "user",
        {
            "id": user.id,
            "admin": user.is_root_admin,
            "username": user.username,
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "language": user.language,
        },
    )


def backup(row: Backup) -> Json:
    """A backup."""
    return item(
        "backup",
        {
            "uuid": row.uuid,
            "is_successful": row.is_successful,
            "is_locked": row.is_locked,
            "name": row.name,
            "ignored_files": row.ignored_files,
            "checksum": row.checksum,
            "bytes": row.size_bytes,
            "created_at": timestamp(row.created_at),
            "completed_at": timestamp(row.completed_at),
        },
    )


def database(call: Call, row: Database, *, has_password: bool) -> Json:
    """A database; its id is a hashid."""
    host = call.panel.store.database_hosts.get_or_404(row.host_id)
    attributes: Json = {
        "id": hashid(row.id),
        "host": {"address": host.host, "port": host.port},
        "name": row.database,
        "username": row.username,
        "connections_from": row.remote,
        "max_connections": row.max_connections,
    }
    if has_password:
        attributes["relationships"] = {"password": item("database_password", {"password": row.password})}
    return item("server_database", attributes)


def hashid(number: int) -> str:
    """A database's id as the client API writes it."""
    letters = "k7m2x9q4w8z3v6n5"
    return "".join(letters[int(digit, 16)] for digit in f"{number * 2654435761 % 2**32:08x}")
