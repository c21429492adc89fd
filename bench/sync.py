"""An inventory sync of a large panel, beside the same pages read, copied and merged by bare SQL."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import requests
from psycopg.types.json import Jsonb

from bench.environment import VAR, Environment
from bench.report import Row, slower
from core import embedded
from servers import inventory
from servers.drivers.pterodactyl.client import PAGE_SIZE
from servers.models import Provider, SyncKind, SyncRun

NODES, PORTS, SERVERS = 200, 1000, 250  # of each node
AT = datetime(2027, 1, 1, tzinfo=UTC)
WRITTEN = ("added", "changed", "removed")
# Nearly all of it goes into two tables. Bare, they have the same columns, checks and indexes, and no foreign keys.
BARE = """
    CREATE TABLE bare_server (LIKE servers_remoteserverseen INCLUDING ALL);
    CREATE TABLE bare_port (LIKE servers_allocation INCLUDING ALL);
    CREATE TEMPORARY TABLE stage_server (ref text, name text, node_ref text, memory_mib bigint, disk_mib bigint,
        cpu_percent integer, account_ref text, is_suspended boolean, allocation_refs jsonb);
    CREATE TEMPORARY TABLE stage_port (ref text, node_ref text, ip text, alias text, port integer, is_taken boolean)"""
MERGES = {
    "server": """MERGE INTO bare_server AS t USING stage_server AS s ON t.ref = s.ref
        WHEN MATCHED AND ROW(t.name, t.memory_mib, t.disk_mib, t.cpu_percent, t.account_ref, t.is_suspended,
                t.allocation_refs, t.node_id)
            IS DISTINCT FROM ROW(s.name, s.memory_mib, s.disk_mib, s.cpu_percent, s.account_ref, s.is_suspended,
                s.allocation_refs, md5(s.node_ref)::uuid) THEN UPDATE SET name = s.name
        WHEN NOT MATCHED THEN INSERT (id, provider_id, ref, key, name, node_id, account_ref, memory_mib, disk_mib,
                cpu_percent, is_suspended, allocation_refs, is_present, identifier, build_ref)
            VALUES (uuidv7(), md5('provider')::uuid, s.ref, '', s.name, md5(s.node_ref)::uuid, s.account_ref,
                s.memory_mib, s.disk_mib, s.cpu_percent, s.is_suspended, s.allocation_refs, true,
                '', '')""",
    "port": """MERGE INTO bare_port AS t USING stage_port AS s ON t.node_id = md5(s.node_ref)::uuid AND t.ref = s.ref
        WHEN MATCHED AND ROW(t.ip, t.alias, t.port, t.is_taken_elsewhere)
            IS DISTINCT FROM ROW(s.ip, s.alias, s.port, s.is_taken) THEN UPDATE SET ip = s.ip
        WHEN NOT MATCHED THEN INSERT (id, node_id, ref, ip, alias, port, is_taken_elsewhere, is_primary, is_present)
            VALUES (uuidv7(), md5(s.node_ref)::uuid, s.ref, s.ip, s.alias, s.port, s.is_taken, false, true)""",
}


def measure(environment: Environment) -> Iterator[Row]:
    """A first sync and one that finds nothing new, each beside its bare way."""
    nodes = [{"memory": 1 << 20, "disk": 1 << 22, "allocations": PORTS, "servers": SERVERS}] * NODES
    answer = requests.post(
        f"{environment.sandbox.base_url}/_control/pterodactyl/seed", json={"nodes": nodes}, timeout=300
    )
    answer.raise_for_status()
    seeded = Provider.objects.get(kind="pterodactyl")
    Provider.objects.filter(pk=seeded.pk).update(is_active=False)
    panel = {"base_url": seeded.base_url, "credentials": seeded.credentials}
    provider = Provider.objects.create(kind="pterodactyl", name="A large panel", **panel)
    with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER), autocommit=True) as owner:
        owner.execute(BARE)
        for name in ("first", "second, unchanged"):
            bare, bare_merge = read_bare(environment, owner)
            owner.execute("VACUUM ANALYZE")  # as autovacuum does before long
            began = time.perf_counter()
            run = inventory.sync(provider_id=provider.pk, kind=SyncKind.FULL, at=AT)
            took = time.perf_counter() - began
            assert run.error == "", run.error
            rows = sum(count["read"] for count in run.counts.values())
            merge = took - sum(value for key, value in run.metadata.items() if key in run.counts)
            yield Row(f"{name} sync, bare", rows / bare, "rows/s")
            yield slower(f"{name} sync", rows / took, "rows/s", rows / bare, "bare reading, COPY and MERGE")
            yield Row(f"{name} sync, of that merging", merge, "s", merge / bare_merge, "bare MERGE")
            yield Row(f"{name} sync, rows written", float(written(run)), "rows")
    Provider.objects.filter(pk=provider.pk).update(is_active=False)


def written(run: SyncRun) -> int:
    """How many rows the merge changed."""
    return sum(count.get(kind, 0) for count in run.counts.values() for kind in WRITTEN)


def read_bare(environment: Environment, owner: "psycopg.Connection[Any]") -> tuple[float, float]:
    """Read every page, copy it and merge it, with nothing in between; the seconds of all, and of merging."""
    http = requests.Session()
    key = environment.sandbox.panel_keys()
    http.headers.update({"Authorization": f"Bearer {key['application']}", "Accept": "application/json"})
    began = time.perf_counter()
    for name, path, row in (
        ("server", "/servers", server_row),
        *(("port", f"/nodes/{number}/allocations", port_row(number)) for number in range(1, NODES + 1)),
    ):
        page, pages = 1, 1
        while page <= pages:
            query = {"page": page, "per_page": PAGE_SIZE, "include": "allocations" if name == "server" else None}
            body = http.get(f"{key['url']}/api/application{path}", params=query, timeout=60).json()
            page, pages = page + 1, body["meta"]["pagination"]["total_pages"]
            with owner.cursor().copy(f"COPY stage_{name} FROM STDIN") as copy:
                for each in body["data"]:
                    copy.write_row(row(each["attributes"]))
    read = time.perf_counter()
    for name in ("server", "port"):
        owner.execute(f"ANALYZE stage_{name}")
        owner.execute(MERGES[name])
        owner.execute(f"TRUNCATE stage_{name}")
    ended = time.perf_counter()
    return ended - began, ended - read


def server_row(each: dict[str, Any]) -> tuple[Any, ...]:
    """The columns of a server."""
    limits, ports = each["limits"], each["relationships"]["allocations"]["data"]
    refs = Jsonb([str(port["attributes"]["id"]) for port in ports])
    sizes = (limits["memory"], limits["disk"], limits["cpu"])
    return str(each["id"]), each["name"], str(each["node"]), *sizes, str(each["user"]), each["suspended"], refs


def port_row(node: int) -> Any:
    """The columns of one of this node's ports."""
    return lambda each: (str(each["id"]), str(node), each["ip"], each["alias"] or "", each["port"], each["assigned"])
