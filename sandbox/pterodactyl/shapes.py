"""The application API's objects: attributes of each record, as the panel's transformers write them."""

from collections.abc import Mapping
from typing import Any

from sandbox.pterodactyl import rows
from sandbox.pterodactyl.store import Store
from sandbox.pterodactyl.times import raw_stamp, stamp

Attributes = dict[str, Any]


def stamps(row: rows.Row) -> Attributes:
    """The two times of a record."""
    return {"created_at": stamp(row.created_at), "updated_at": stamp(row.updated_at)}


def object_or_list(value: Mapping[str, Any]) -> Any:
    """An empty object is written as an empty list."""
    return dict(value) or []


def user(_store: Store, row: rows.User) -> Attributes:
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
        "2fa": row.has_two_factor,
        **stamps(row),
    }


def node(store: Store, row: rows.Node) -> Attributes:
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
        **stamps(row),
        "allocated_resources": {
            "memory": sum(server.memory for server in servers),
            "disk": sum(server.disk for server in servers),
        },
    }


def location(_store: Store, row: rows.Location) -> Attributes:
    """Attributes of a location."""
    return {"id": row.id, "short": row.short, "long": row.long, **stamps(row)}


def allocation(_store: Store, row: rows.Allocation) -> Attributes:
    """Attributes of an allocation; its server is only an include."""
    return {
        "id": row.id,
        "ip": row.ip,
        "alias": row.ip_alias,
        "port": row.port,
        "notes": row.notes,
        "assigned": row.server_id is not None,
    }


def nest(_store: Store, row: rows.Nest) -> Attributes:
    """Attributes of a nest."""
    return {
        "id": row.id,
        "uuid": row.uuid,
        "author": row.author,
        "name": row.name,
        "description": row.description,
        **stamps(row),
    }


def egg(_store: Store, row: rows.Egg) -> Attributes:
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
        **stamps(row),
    }


def egg_variable(variable: rows.EggVariable, owner: rows.Egg) -> Attributes:
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
        "created_at": raw_stamp(owner.created_at),
        "updated_at": raw_stamp(owner.updated_at),
    }


def limits(row: rows.Server) -> Attributes:
    """What a server may use."""
    return {
        "memory": row.memory,
        "swap": row.swap,
        "disk": row.disk,
        "io": row.io,
        "cpu": row.cpu,
        "threads": row.threads,
        "oom_disabled": row.is_oom_disabled,
    }


def feature_limits(row: rows.Server) -> Attributes:
    """How many extras a server may have."""
    return {"databases": row.database_limit, "allocations": row.allocation_limit, "backups": row.backup_limit}


def environment(store: Store, row: rows.Server) -> dict[str, Any]:
    """Every egg variable and the four the panel adds."""
    owner = store.eggs.must(row.egg_id)
    place = store.locations.must(store.nodes.must(row.node_id).location_id)
    return {
        **{each.env_variable: row.environment.get(each.env_variable, "") for each in owner.variables},
        "STARTUP": row.startup,
        "P_SERVER_LOCATION": place.short,
        "P_SERVER_UUID": row.uuid,
        "P_SERVER_ALLOCATION_LIMIT": row.allocation_limit,
    }


def server(store: Store, row: rows.Server) -> Attributes:
    """Attributes of a server."""
    return {
        "id": row.id,
        "external_id": row.external_id,
        "uuid": row.uuid,
        "identifier": row.identifier,
        "name": row.name,
        "description": row.description,
        "status": row.status,
        "suspended": row.status == "suspended",
        "limits": limits(row),
        "feature_limits": feature_limits(row),
        "user": row.user_id,
        "node": row.node_id,
        "allocation": row.allocation_id,
        "nest": row.nest_id,
        "egg": row.egg_id,
        "container": {
            "startup_command": row.startup,
            "image": row.image,
            "installed": 0 if row.status in {"installing", "install_failed"} else 1,
            "environment": environment(store, row),
        },
        **stamps(row),
    }


def database(_store: Store, row: rows.Database) -> Attributes:
    """Attributes of a server's database; the password is only an include."""
    return {
        "id": row.id,
        "server": row.server_id,
        "host": row.host_id,
        "database": row.database,
        "username": row.username,
        "remote": row.remote,
        "max_connections": row.max_connections,
        **stamps(row),
    }


def database_host(_store: Store, row: rows.DatabaseHost) -> Attributes:
    """Attributes of a database host."""
    return {
        "id": row.id,
        "name": row.name,
        "host": row.host,
        "port": row.port,
        "username": row.username,
        "node": row.node_id,
        **stamps(row),
    }


def subuser(_store: Store, row: rows.Subuser) -> Attributes:
    """Attributes of a user's part in a server."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "server_id": row.server_id,
        "permissions": row.permissions,
        **stamps(row),
    }
