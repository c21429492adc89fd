"""Which columns of each table come from the provider, and which are ours."""

from servers.inventory.merge import STAGE, Mirror

COUNTERS = (
    *("memory_headroom_mib", "memory_sellable_mib", "memory_reserved_mib"),
    *("disk_headroom_mib", "disk_sellable_mib", "disk_reserved_mib"),
    *("memory_oversold_mib", "disk_oversold_mib", "servers_reserved"),
)
PROVIDER = "t.provider_id = %(scope)s"
NODES = "t.node_id = ANY (%(scope)s)"
NESTS = "t.nest_id = ANY (%(scope)s)"
EGGS = "t.egg_id = ANY (%(scope)s)"

LOCATIONS = Mirror(
    table="servers_location",
    scope=PROVIDER,
    key={"provider_id": "uuid", "ref": "text"},
    values={"code": "text", "name": "text"},
    fixed={"is_active": "true"},
)
# Overcommit and whether a node is for sale are copied once; from then on staff decide.
NODE = Mirror(
    table="servers_node",
    scope=PROVIDER,
    key={"provider_id": "uuid", "ref": "text"},
    values={
        "location_id": "uuid",
        "name": "text",
        "memory_mib": "bigint",
        "disk_mib": "bigint",
        "is_in_maintenance": "boolean",
        "memory_foreign_mib": "bigint",
        "disk_foreign_mib": "bigint",
    },
    initial={
        "memory_overcommit_percent": "integer",
        "disk_overcommit_percent": "integer",
        "is_enabled": "boolean",
        "is_elastic": "boolean",
    },
    fixed=dict.fromkeys(COUNTERS, "0") | {"is_draining": "false"},
)
ALLOCATION = Mirror(
    table="servers_allocation",
    scope=NODES,
    key={"node_id": "uuid", "ref": "text"},
    values={"ip": "text", "alias": "text", "port": "integer", "is_taken_elsewhere": "boolean"},
    # An address deleted and added again at the provider gets another ref, perhaps one that another address had.
    before=f"""
        UPDATE servers_allocation AS t SET ref = 'old ' || t.id FROM {STAGE} AS s
        WHERE t.node_id = s.node_id AND t.ref = s.ref AND (t.ip <> s.ip OR t.port <> s.port);
        UPDATE servers_allocation AS t SET ref = s.ref FROM {STAGE} AS s
        WHERE t.node_id = s.node_id AND t.ip = s.ip AND t.port = s.port AND t.ref <> s.ref""",
    fixed={"is_primary": "false"},
)
NEST = Mirror(
    table="servers_nest",
    scope=PROVIDER,
    key={"provider_id": "uuid", "ref": "text"},
    values={"name": "text", "author": "text", "description": "text"},
)
EGG = Mirror(
    table="servers_egg",
    scope=NESTS,
    key={"nest_id": "uuid", "ref": "text"},
    values={
        "name": "text",
        "author": "text",
        "description": "text",
        "docker_images": "jsonb",
        "first_image": "text",
        "startup": "text",
    },
    fixed={"features": "'[]'"},
)
VARIABLE = Mirror(
    table="servers_eggvariable",
    scope=EGGS,
    key={"egg_id": "uuid", "env_variable": "text"},
    values={
        "ref": "text",
        "name": "text",
        "description": "text",
        "default_value": "text",
        "is_user_viewable": "boolean",
        "is_user_editable": "boolean",
        "rules": "text",
        "position": "integer",
    },
)
