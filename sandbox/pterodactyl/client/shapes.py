"""The client API's objects."""

import re
from typing import Any

from sandbox.pterodactyl import rows, shapes
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.store import Store
from sandbox.pterodactyl.times import stamp

Json = dict[str, Any]
VARIABLE = re.compile(r"\{\{\s*(?:server\.environment\.|env\.)?(\w+)\s*\}\}")


def shown(name: str, attributes: Json) -> Json:
    """An object with its attributes."""
    return {"object": name, "attributes": attributes}


def listed(found: list[Json]) -> Json:
    """A list without pages."""
    return {"object": "list", "data": found}


def allocation(call: Call, row: rows.Allocation) -> Json:
    """An allocation as its server's user sees it."""
    server = call.panel.store.server_at(row)
    return shown(
        "allocation",
        {
            "id": row.id,
            "ip": row.ip,
            "ip_alias": row.ip_alias,
            "port": row.port,
            "notes": row.notes,
            "is_default": server is not None and server.allocation_id == row.id,
        },
    )


def variable(server: rows.Server, row: rows.EggVariable) -> Json:
    """An egg variable with the value of a server."""
    return shown(
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


def variables(call: Call, server: rows.Server) -> list[Json]:
    """The variables a user may see."""
    egg = call.panel.store.eggs.must(server.egg_id)
    return [variable(server, each) for each in egg.variables if each.is_user_viewable]


def invocation(store: Store, server: rows.Server) -> str:
    """The startup with its variables filled in; hidden ones stay hidden."""
    egg = store.eggs.must(server.egg_id)
    primary = store.allocations.must(server.allocation_id)
    values = {"SERVER_MEMORY": str(server.memory), "SERVER_IP": primary.ip, "SERVER_PORT": str(primary.port)}
    for each in egg.variables:
        value = server.environment.get(each.env_variable, "")
        values[each.env_variable] = value if each.is_user_viewable else "[hidden]"
    return VARIABLE.sub(lambda match: values.get(match[1], match[0]), server.startup)


def server(call: Call, row: rows.Server) -> Json:
    """A server with its allocations and variables."""
    store = call.panel.store
    node, egg = store.nodes.must(row.node_id), store.eggs.must(row.egg_id)
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
        "limits": shapes.limits(row),
        "invocation": invocation(store, row),
        "docker_image": row.image,
        "egg_features": egg.features or None,
        "feature_limits": shapes.feature_limits(row),
        "status": row.status,
        "is_suspended": row.status == "suspended",
        "is_installing": row.status in {"installing", "install_failed"},
        "is_transferring": False,
        "relationships": {
            "allocations": listed([allocation(call, each) for each in store.allocations_of(row)]),
            "variables": listed(variables(call, row)),
        },
    }
    return shown("server", attributes)


def account(user: rows.User) -> Json:
    """The user behind the key."""
    return shown(
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


def api_key(key: rows.ApiKey) -> Json:
    """A key without its secret part."""
    return shown(
        "api_key",
        {
            "identifier": key.identifier,
            "description": key.description,
            "allowed_ips": key.allowed_ips,
            "last_used_at": stamp(key.last_used_at),
            "created_at": stamp(key.created_at),
        },
    )


def backup(row: rows.Backup) -> Json:
    """A backup."""
    return shown(
        "backup",
        {
            "uuid": row.uuid,
            "is_successful": row.is_successful,
            "is_locked": row.is_locked,
            "name": row.name,
            "ignored_files": row.ignored_files,
            "checksum": row.checksum,
            "bytes": row.size_bytes,
            "created_at": stamp(row.created_at),
            "completed_at": stamp(row.completed_at),
        },
    )


def database(call: Call, row: rows.Database, *, has_password: bool) -> Json:
    """A database, under an id that is not a bare number."""
    host = call.panel.store.database_hosts.must(row.host_id)
    attributes: Json = {
        "id": hash_id(row.id),
        "host": {"address": host.host, "port": host.port},
        "name": row.database,
        "username": row.username,
        "connections_from": row.remote,
        "max_connections": row.max_connections,
    }
    if has_password:
        attributes["relationships"] = {"password": shown("database_password", {"password": row.password})}
    return shown("server_database", attributes)


def hash_id(number: int) -> str:
    """A number dressed as a short word, always the same one."""
    letters = "k7m2x9q4w8z3v6n5"
    return "".join(letters[int(digit, 16)] for digit in f"{number * 2654435761 % 2**32:08x}")


def schedule(row: rows.Schedule) -> Json:
    """A schedule with its tasks."""
    return shown(
        "server_schedule",
        {
            "id": row.id,
            "name": row.name,
            "cron": row.cron,
            "is_active": row.is_active,
            "is_processing": False,
            "only_when_online": row.is_only_when_online,
            "last_run_at": stamp(row.last_run_at),
            "next_run_at": None,
            "created_at": stamp(row.created_at),
            "updated_at": stamp(row.updated_at),
            "relationships": {"tasks": listed([shown("schedule_task", task) for task in row.tasks])},
        },
    )


def activity(row: rows.Activity) -> Json:
    """A line of the activity log."""
    return shown(
        "activity_log",
        {
            "id": hash_id(row.id),
            "event": row.event,
            "is_api": True,
            "ip": row.ip,
            "description": None,
            "properties": [],
            "has_additional_metadata": False,
            "timestamp": stamp(row.created_at),
        },
    )
