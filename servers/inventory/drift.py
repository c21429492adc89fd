"""What a sync finds to differ between the provider and our rows: open findings, which the next sync closes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from servers.eggs import rules
from servers.models import DriftFinding, DriftKind, EggVariable

STAGE = "sync_findings"
OF_SERVERS = (
    *(DriftKind.ORPHAN, DriftKind.GHOST, DriftKind.DUPLICATE, DriftKind.KEY, DriftKind.OWNER, DriftKind.LIMITS),
    *(DriftKind.NODE, DriftKind.SUSPENSION, DriftKind.UNLIMITED),
)
# By the lists that were read: the kinds that are then known completely.
KINDS: dict[str, tuple[DriftKind, ...]] = {
    "nodes": (DriftKind.NODE_SHRUNK,),
    "servers": (*OF_SERVERS, DriftKind.NODE_SHRUNK),
    "eggs": (DriftKind.EGG_VARIABLE, DriftKind.EGG_DEFAULT),
    "accounts": (DriftKind.ACCOUNT, DriftKind.EMAIL),
}
# What is being converged, or was since the reading began, is not compared: the list may be from before or after.
_UNSETTLED = """EXISTS (SELECT FROM servers_provisioningtask AS task
    WHERE task.server_id = {server} AND (task.state = 'running' OR task.updated_at >= %(read_from)s))"""
_SEEN = f"""
    WITH ours AS (
        SELECT server.*, node.name AS node_name, account.ref AS owner_ref, account.username AS owner_name,
            EXISTS (SELECT FROM servers_serverhold AS hold WHERE hold.server_id = server.id AND hold.lifted_at IS NULL)
                AS is_held
        FROM servers_server AS server
            JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
            LEFT JOIN servers_node AS node ON node.id = server.node_id
            LEFT JOIN servers_panelaccount AS account
                ON account.user_id = server.owner_id AND account.provider_id = blueprint.provider_id
        WHERE blueprint.provider_id = %(provider)s AND NOT {_UNSETTLED.format(server="server.id")}
    ), seen AS (
        SELECT seen.*, node.name AS node_name, COALESCE(NOT node.is_elastic, false) AS has_limits
        FROM servers_remoteserverseen AS seen LEFT JOIN servers_node AS node ON node.id = seen.node_id
        WHERE seen.provider_id = %(provider)s AND seen.is_present
    ), pair AS (
        SELECT ours.id, ours.name, ours.is_held, ours.owner_ref, ours.owner_name,
            ours.node_id, ours.node_name, ours.memory_mib, ours.disk_mib, ours.cpu_percent,
            seen.ref, seen.key, seen.account_ref, seen.has_limits, seen.is_suspended, seen.node_id AS seen_node_id,
            seen.node_name AS seen_node_name, seen.memory_mib AS seen_memory_mib, seen.disk_mib AS seen_disk_mib,
            seen.cpu_percent AS seen_cpu_percent
        FROM ours JOIN seen ON seen.server_id = ours.id
        WHERE ours.desired_state = 'present' AND ours.status <> 'deleted'
    )
    INSERT INTO {STAGE} (kind, subject, subject_ref, server_id, expected, found)
    SELECT 'ghost', name, id::text, id, ref, '' FROM ours
        WHERE desired_state = 'present' AND status <> 'deleted' AND ref <> ''
            AND NOT EXISTS (SELECT FROM seen WHERE seen.server_id = ours.id)
    UNION ALL
    SELECT 'orphan', COALESCE(NULLIF(seen.name, ''), seen.ref), seen.ref, seen.server_id, '', seen.key FROM seen
        LEFT JOIN servers_server AS server ON server.id = seen.server_id
        WHERE (server.status = 'deleted' AND NOT {_UNSETTLED.format(server="server.id")})
            OR (seen.server_id IS NULL AND (
                seen.key ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' OR EXISTS (
                SELECT FROM servers_panelaccount AS account WHERE account.provider_id = %(provider)s
                    AND account.ref = seen.account_ref AND NOT account.is_panel_admin)))
    UNION ALL
    SELECT 'duplicate', name, id::text, id, min(ref), string_agg(ref, ', ' ORDER BY ref) FROM pair
        GROUP BY id, name HAVING count(*) > 1
    UNION ALL
    SELECT 'key', name, id::text, id, id::text, min(key) FROM pair
        GROUP BY id, name HAVING bool_and(lower(key) <> id::text)
    UNION ALL
    SELECT 'owner', name, id::text, id, min(owner_name || ' (' || owner_ref || ')'), min(account_ref) FROM pair
        WHERE account_ref <> '' AND owner_ref <> account_ref GROUP BY id, name
    UNION ALL
    SELECT 'limits', name, id::text, id,
            min(concat_ws(' · ', memory_mib || ' MiB', disk_mib || ' MiB', cpu_percent || ' %%')),
            min(concat_ws(' · ', seen_memory_mib || ' MiB', seen_disk_mib || ' MiB', seen_cpu_percent || ' %%'))
        FROM pair WHERE has_limits
            AND (memory_mib, disk_mib, cpu_percent) <> (seen_memory_mib, seen_disk_mib, seen_cpu_percent)
        GROUP BY id, name
    UNION ALL
    SELECT 'node', name, id::text, id, min(COALESCE(node_name, '')), min(seen_node_name) FROM pair
        WHERE seen_node_id IS DISTINCT FROM node_id AND seen_node_id IS NOT NULL GROUP BY id, name
    UNION ALL
    SELECT 'suspension', name, id::text, id, min(CASE WHEN is_held THEN 'suspended' ELSE 'active' END),
            min(CASE WHEN is_suspended THEN 'suspended' ELSE 'active' END) FROM pair
        WHERE is_suspended <> is_held GROUP BY id, name
    UNION ALL
    SELECT 'unlimited', seen.name, seen.ref, NULL, '',
            concat_ws(' · ', seen.memory_mib || ' MiB', seen.disk_mib || ' MiB') FROM seen
        WHERE seen.server_id IS NULL AND seen.has_limits AND (seen.memory_mib = 0 OR seen.disk_mib = 0)"""
_SHRUNK = f"""
    INSERT INTO {STAGE} (kind, subject, subject_ref, expected, found)
    SELECT 'node_shrunk', name, ref,
        concat_ws(' · ', memory_reserved_mib || ' MiB', disk_reserved_mib || ' MiB'),
        concat_ws(' · ', memory_sellable_mib || ' MiB', disk_sellable_mib || ' MiB')
    FROM servers_node WHERE provider_id = %(provider)s AND is_present AND NOT is_elastic
        AND (memory_reserved_mib > memory_sellable_mib OR disk_reserved_mib > disk_sellable_mib)"""
_REPEATED = f"""
    INSERT INTO {STAGE} (kind, subject, subject_ref, expected, found)
    SELECT 'egg_variable', egg.name, egg.ref || ':' || listed.env_variable, '1',
        listed.env_variable || ' × ' || count(*)
    FROM sync_eggs AS egg, jsonb_to_recordset(egg.variables) AS listed (env_variable text)
    GROUP BY egg.ref, egg.name, listed.env_variable HAVING count(*) > 1"""
_ACCOUNTS = f"""
    INSERT INTO {STAGE} (kind, subject, subject_ref, expected, found)
    SELECT 'account', username, ref, ref, '' FROM servers_panelaccount AS account
    WHERE provider_id = %(provider)s AND NOT EXISTS (SELECT FROM sync_accounts AS listed WHERE listed.ref = account.ref)
        AND account.created_at < %(read_from)s
    UNION ALL
    SELECT 'email', username, ref, '', '' FROM servers_panelaccount AS account
    WHERE provider_id = %(provider)s AND EXISTS (SELECT FROM sync_accounts AS listed JOIN accounts_user AS owner
        ON owner.id = account.user_id WHERE listed.ref = account.ref AND lower(listed.email) <> lower(owner.email))"""
# A finding about a server that is being converged stays as it is until the next sync. One that is ignored is ignored no
# longer once it says something else.
_IS_SAME = "(t.server_id, t.expected, t.found) IS NOT DISTINCT FROM (s.server_id, s.expected, s.found)"
_MERGE = f"""
    MERGE INTO servers_driftfinding AS t
    USING (
        SELECT DISTINCT ON (kind, subject_ref)
            kind, left(subject, 191) AS subject, left(subject_ref, 191) AS subject_ref, server_id,
            left(expected, 255) AS expected, left(found, 255) AS found
        FROM {STAGE} ORDER BY kind, subject_ref) AS s
    ON t.provider_id = %(provider)s AND t.closed_at IS NULL AND t.kind = s.kind AND t.subject_ref = s.subject_ref
    WHEN MATCHED AND (t.subject, t.server_id, t.expected, t.found)
            IS DISTINCT FROM (s.subject, s.server_id, s.expected, s.found)
        THEN UPDATE SET subject = s.subject, server_id = s.server_id, expected = s.expected, found = s.found,
            ignored_at = CASE WHEN {_IS_SAME} THEN t.ignored_at END,
            ignored_by_id = CASE WHEN {_IS_SAME} THEN t.ignored_by_id END,
            ignore_reason = CASE WHEN {_IS_SAME} THEN t.ignore_reason ELSE '' END
    WHEN NOT MATCHED THEN INSERT (id, provider_id, kind, subject, subject_ref, server_id, expected, found, found_at,
            ignore_reason)
        VALUES (uuidv7(), %(provider)s, s.kind, s.subject, s.subject_ref, s.server_id, s.expected, s.found, %(at)s, '')
    WHEN NOT MATCHED BY SOURCE AND t.provider_id = %(provider)s AND t.closed_at IS NULL AND t.kind = ANY (%(kinds)s)
            AND (t.server_id IS NULL OR NOT {_UNSETTLED.format(server="t.server_id")})
        THEN UPDATE SET closed_at = %(at)s"""


def record_findings(provider_id: UUID, lists: list[str], *, read_from: datetime, at: datetime) -> int:
    """Open, change and close the provider's findings by what these lists say; how many are open.

    After the lists are merged, in the same transaction. `read_from` is the database's time when reading began.
    """
    kinds = sorted({kind.value for name in lists for kind in KINDS.get(name, ())})
    parameters: dict[str, Any] = {"provider": provider_id, "read_from": read_from, "at": at, "kinds": kinds}
    steps = {"servers": [_SEEN, _SHRUNK], "nodes": [_SHRUNK], "eggs": [_REPEATED], "accounts": [_ACCOUNTS]}
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE {STAGE} (kind text, subject text, subject_ref text, server_id uuid,"
            " expected text, found text) ON COMMIT DROP"
        )
        for statement in dict.fromkeys(each for name in lists for each in steps.get(name, ())):
            cursor.execute(statement, parameters)
        if "eggs" in lists:
            _stage_refused_defaults(provider_id)
        cursor.execute(_MERGE, parameters)
        cursor.execute(f"DROP TABLE {STAGE}")
        cursor.execute(
            "SELECT count(*) FROM servers_driftfinding WHERE provider_id = %s AND closed_at IS NULL", [provider_id]
        )
        return int(cursor.fetchone()[0])


def close_foreign_findings(provider_id: UUID, ref: str, *, at: datetime) -> None:
    """The server became ours, or is gone there: nobody has to decide about it."""
    found = DriftFinding.objects.filter(provider=provider_id, subject_ref=ref, closed_at=None)
    found.filter(kind__in=[DriftKind.ORPHAN, DriftKind.UNLIMITED]).update(closed_at=at)


def _stage_refused_defaults(provider_id: UUID) -> None:
    """Defaults that break their own rules, which only our reading of the panel's rules tells; a blueprint sets them."""
    variables = EggVariable.objects.filter(egg__nest__provider_id=provider_id, egg__is_present=True, is_present=True)
    rows = variables.select_related("egg").order_by("pk").iterator(chunk_size=500)
    refused = [
        (
            *("egg_default", each.egg.name, f"{each.egg.ref}:{each.env_variable}", each.rules),
            f"{each.env_variable}={each.default_value}",
        )
        for each in rows
        if rules.violations(each.rules, each.default_value)
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {STAGE} (kind, subject, subject_ref, expected, found) VALUES (%s, %s, %s, %s, %s)", refused
        )
