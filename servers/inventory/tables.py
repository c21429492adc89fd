"""Which columns of each table come from the provider, and which are ours."""

from servers.inventory.merge import STAGE, Mirror

COUNTERS = (
    *("memory_headroom_mib", "memory_sellable_mib", "memory_reserved_mib", "memory_foreign_mib"),
    *("disk_headroom_mib", "disk_sellable_mib", "disk_reserved_mib", "disk_foreign_mib"),
    *("memory_oversold_mib", "disk_oversold_mib", "servers_reserved"),
)
PROVIDER = "t.provider_id = %(provider)s"
OF_PROVIDER = "SELECT id FROM servers_{} WHERE provider_id = %(provider)s"

LOCATIONS = Mirror(
    table="servers_location",
    source="SELECT %(provider)s::uuid AS provider_id, ref, code, name, position FROM sync_locations",
    scope=PROVIDER,
    key=("provider_id", "ref"),
    values=("code", "name"),
    fixed={"is_active": "true"},
)
# Overcommit and whether a node is for sale are copied once; from then on staff decide.
NODES = Mirror(
    table="servers_node",
    source="""
        SELECT location.provider_id, node.ref, location.id AS location_id, node.name, node.memory_mib, node.disk_mib,
            node.is_in_maintenance, node.memory_overcommit_percent, node.disk_overcommit_percent,
            node.is_public AS is_enabled, node.is_elastic, node.position
        FROM sync_nodes AS node
            JOIN servers_location AS location
                ON location.provider_id = %(provider)s AND location.ref = node.location_ref""",
    scope=PROVIDER,
    key=("provider_id", "ref"),
    values=("location_id", "name", "memory_mib", "disk_mib", "is_in_maintenance"),
    initial=("memory_overcommit_percent", "disk_overcommit_percent", "is_enabled", "is_elastic"),
    fixed=dict.fromkeys(COUNTERS, "0") | {"is_draining": "false", "tags": "''"},
)
# One of ours stays ours when its key was erased there, or is another one that is nobody's: its number and, where the
# provider has one, its random identifier are still its own. A number that was given anew names one that is not deleted.
SERVERS = Mirror(
    table="servers_remoteserverseen",
    source="""
        SELECT %(provider)s::uuid AS provider_id, seen.ref, seen.key, seen.name, node.id AS node_id, seen.account_ref,
            seen.memory_mib, seen.disk_mib, seen.cpu_percent, seen.is_suspended, seen.allocation_refs, seen.identifier,
            seen.build_ref, seen.position,
            COALESCE(CASE WHEN by_key.status <> 'deleted' THEN by_key.id END, (
                SELECT server.id FROM servers_server AS server
                    JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
                WHERE blueprint.provider_id = %(provider)s AND server.ref = seen.ref AND server.status <> 'deleted'
                    AND (seen.key = '' OR (seen.identifier <> '' AND server.identifier = seen.identifier))
                LIMIT 1), by_key.id) AS server_id
        FROM sync_servers AS seen
            LEFT JOIN servers_node AS node ON node.provider_id = %(provider)s AND node.ref = seen.node_ref
            LEFT JOIN (servers_server AS by_key JOIN servers_blueprint AS blueprint
                ON blueprint.id = by_key.blueprint_id AND blueprint.provider_id = %(provider)s)
                ON by_key.id = seen.server_id""",
    scope=PROVIDER,
    key=("provider_id", "ref"),
    values=(
        *("key", "server_id", "name", "node_id", "account_ref"),
        *("memory_mib", "disk_mib", "cpu_percent", "is_suspended", "allocation_refs", "identifier", "build_ref"),
    ),
)
# An allocation is taken elsewhere when it is assigned to any server but the one that it is reserved for. A reserved one
# stays as it was where it is not known who has it: servers were not read, or its own was converged meanwhile.
ALLOCATIONS = Mirror(
    table="servers_allocation",
    source="""
        SELECT node.id AS node_id, port.ref, port.ip, port.alias, port.port, port.position,
            CASE WHEN port.is_assigned AND known.reservation_id IS NOT NULL AND (NOT %(are_servers_read)s OR EXISTS (
                SELECT FROM servers_provisioningtask AS task
                WHERE task.server_id = reserved_for.id AND task.updated_at >= %(read_from)s))
            THEN known.is_taken_elsewhere
            ELSE port.is_assigned AND (holder.server_id IS NULL OR holder.server_id IS DISTINCT FROM reserved_for.id)
            END AS is_taken_elsewhere
        FROM sync_allocations AS port
            JOIN servers_node AS node ON node.provider_id = %(provider)s AND node.ref = port.node_ref
            LEFT JOIN servers_allocation AS known
                ON known.node_id = node.id AND known.ip = port.ip AND known.port = port.port
            LEFT JOIN servers_server AS reserved_for ON reserved_for.reservation_id = known.reservation_id
            LEFT JOIN (
                SELECT DISTINCT ON (assigned.ref) assigned.ref, seen.server_id
                FROM servers_remoteserverseen AS seen,
                    jsonb_array_elements_text(seen.allocation_refs) AS assigned (ref)
                WHERE seen.provider_id = %(provider)s AND seen.is_present
            ) AS holder ON holder.ref = port.ref""",
    scope=f"t.node_id = ANY (ARRAY({OF_PROVIDER.format('node')}))",
    key=("node_id", "ref"),
    values=("ip", "alias", "port", "is_taken_elsewhere"),
    # An address deleted and added again at the provider gets another ref, perhaps one that another address had.
    before=f"""
        UPDATE servers_allocation AS t SET ref = 'old ' || t.id FROM {STAGE} AS s
        WHERE t.node_id = s.node_id AND t.ref = s.ref AND (t.ip <> s.ip OR t.port <> s.port);
        UPDATE servers_allocation AS t SET ref = s.ref FROM {STAGE} AS s
        WHERE t.node_id = s.node_id AND t.ip = s.ip AND t.port = s.port AND t.ref <> s.ref""",
    fixed={"is_primary": "false"},
)
ACCOUNTS = Mirror(
    table="servers_remoteaccountseen",
    source="""
        SELECT %(provider)s::uuid AS provider_id, ref, left(key, 191) AS key, left(username, 191) AS username,
            left(lower(email), 191) AS email, is_admin, position
        FROM sync_accounts""",
    scope=PROVIDER,
    key=("provider_id", "ref"),
    values=("key", "username", "email", "is_admin"),
)
NESTS = Mirror(
    table="servers_nest",
    source="SELECT %(provider)s::uuid AS provider_id, ref, name, author, description, position FROM sync_nests",
    scope=PROVIDER,
    key=("provider_id", "ref"),
    values=("name", "author", "description"),
)
EGGS = Mirror(
    table="servers_egg",
    source="""
        SELECT nest.id AS nest_id, egg.ref, egg.name, egg.author, egg.description, egg.docker_images, egg.first_image,
            egg.startup, egg.position
        FROM sync_eggs AS egg
            JOIN servers_nest AS nest ON nest.provider_id = %(provider)s AND nest.ref = egg.nest_ref""",
    scope=f"t.nest_id = ANY (ARRAY({OF_PROVIDER.format('nest')}))",
    key=("nest_id", "ref"),
    values=("name", "author", "description", "docker_images", "first_image", "startup"),
)
# Of variables that share a name in one egg the last one counts, as on the panel.
VARIABLES = Mirror(
    table="servers_eggvariable",
    source="""
        SELECT egg.id AS egg_id, variable.*
        FROM sync_eggs AS staged
            JOIN servers_nest AS nest ON nest.provider_id = %(provider)s AND nest.ref = staged.nest_ref
            JOIN servers_egg AS egg ON egg.nest_id = nest.id AND egg.ref = staged.ref,
            ROWS FROM (jsonb_to_recordset(staged.variables) AS (
                env_variable text, ref text, name text, description text, default_value text,
                is_user_viewable boolean, is_user_editable boolean, rules text
            )) WITH ORDINALITY AS variable (
                env_variable, ref, name, description, default_value, is_user_viewable, is_user_editable, rules, position
            )""",
    scope="t.egg_id = ANY (ARRAY(SELECT egg.id FROM servers_egg AS egg JOIN servers_nest AS nest"
    " ON nest.id = egg.nest_id WHERE nest.provider_id = %(provider)s))",
    key=("egg_id", "env_variable"),
    values=(
        *("ref", "name", "description", "default_value"),
        *("is_user_viewable", "is_user_editable", "rules", "position"),
    ),
)
