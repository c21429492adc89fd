"""Reading a provider's lists into temporary tables, batch by batch, before the transaction that merges them.

No list is ever in memory as a whole, and no transaction is open while the provider answers. The tables belong to the
database session and end with it, like the advisory lock under which they are filled.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import batched
from typing import Any

from django.db import connection
from django.db.backends.postgresql.psycopg_any import Jsonb

from core import tenancy
from core.ids import uuid_of
from servers.drivers.base import Driver
from servers.drivers.inventory import AccountInventory, AllocationInventory, EggInventory, Inventory
from servers.models import SyncKind

BATCH = 500


@dataclass(frozen=True)
class RemoteList:
    """A list that a driver with this ability has: the columns that are staged of it, with their SQL types."""

    ability: type
    columns: Mapping[str, str]
    row: Callable[[Any], Sequence[Any]]


# By the name of the driver's method, in the order of reading.
LISTS = {
    "locations": RemoteList(
        Inventory, dict.fromkeys(("ref", "code", "name"), "text"), lambda each: (each.ref, each.code, each.name)
    ),
    "nodes": RemoteList(
        Inventory,
        {
            **dict.fromkeys(("ref", "location_ref", "name"), "text"),
            **dict.fromkeys(("memory_mib", "disk_mib"), "bigint"),
            **dict.fromkeys(("memory_overcommit_percent", "disk_overcommit_percent"), "integer"),
            **dict.fromkeys(("is_public", "is_in_maintenance", "is_elastic"), "boolean"),
        },
        lambda each: tuple(asdict(each).values()),
    ),
    "servers": RemoteList(
        Inventory,
        {
            **dict.fromkeys(("ref", "key", "name", "node_ref"), "text"),
            **dict.fromkeys(("memory_mib", "disk_mib"), "bigint"),
            "allocation_refs": "jsonb",
            "cpu_percent": "integer",
            "account_ref": "text",
            "is_suspended": "boolean",
            **dict.fromkeys(("identifier", "build_ref"), "text"),
            "server_id": "uuid",
        },
        lambda each: (
            *(each.ref, each.key, each.name, each.node_ref, each.memory_mib, each.disk_mib),
            *(Jsonb(each.allocation_refs), each.cpu_percent, each.account_ref, each.is_suspended),
            *(each.identifier, each.build_ref, uuid_of(each.key)),
        ),
    ),
    "allocations": RemoteList(
        AllocationInventory,
        {**dict.fromkeys(("ref", "node_ref", "ip", "alias"), "text"), "port": "integer", "is_assigned": "boolean"},
        lambda each: (each.ref, each.node_ref, each.ip, each.alias, each.port, each.is_assigned),
    ),
    "nests": RemoteList(
        EggInventory,
        dict.fromkeys(("ref", "name", "author", "description"), "text"),
        lambda each: (each.ref, each.name, each.author, each.description),
    ),
    "eggs": RemoteList(
        EggInventory,
        {
            **dict.fromkeys(("ref", "nest_ref", "name", "author", "description", "first_image", "startup"), "text"),
            **dict.fromkeys(("docker_images", "variables"), "jsonb"),
        },
        lambda each: (
            *(each.ref, each.nest_ref, each.name, each.author, each.description, each.first_image, each.startup),
            *(Jsonb(dict(each.docker_images)), Jsonb([asdict(variable) for variable in each.variables])),
        ),
    ),
    "accounts": RemoteList(
        AccountInventory,
        {**dict.fromkeys(("ref", "key", "username", "email"), "text"), "is_admin": "boolean"},
        lambda each: (each.ref, each.key, each.username, each.email, each.is_admin),
    ),
}
OF_KIND: dict[str, tuple[str, ...]] = {
    SyncKind.FULL: tuple(LISTS),
    SyncKind.LOCATIONS: ("locations",),
    SyncKind.NODES: ("locations", "nodes", "allocations"),
    SyncKind.SERVERS: ("servers",),
    SyncKind.EGGS: ("nests", "eggs"),
    SyncKind.USERS: ("accounts",),
}


def lists_of(driver: Driver, kind: str) -> list[str]:
    """The lists that a sync of this type reads from the driver; none of those that it does not have."""
    return [name for name in OF_KIND[kind] if isinstance(driver, LISTS[name].ability)]


def kinds_of(driver: Driver) -> list[SyncKind]:
    """The types of syncs that the driver offers."""
    return [kind for kind in SyncKind if lists_of(driver, kind)]


def read_list(driver: Driver, name: str) -> Iterator[int]:
    """Stage a list, a batch at a time; how many rows each batch had."""
    row, columns = LISTS[name].row, ", ".join(LISTS[name].columns)
    for batch in batched(getattr(driver, name)(), BATCH):
        with (
            tenancy.as_worker(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY sync_{name} ({columns}) FROM STDIN") as copy,
        ):
            for each in batch:
                copy.write_row(row(each))
        yield len(batch)


@contextmanager
def staging_tables(names: Sequence[str]) -> Iterator[None]:
    """Empty tables for these lists while the block runs."""
    tables = [f"sync_{name}" for name in names]
    with tenancy.as_worker(), connection.cursor() as cursor:
        for name, table in zip(names, tables, strict=True):
            columns = ", ".join(f"{column} {kind}" for column, kind in LISTS[name].columns.items())
            cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
            cursor.execute(f"CREATE TEMPORARY TABLE {table} ({columns}, position bigint GENERATED ALWAYS AS IDENTITY)")
    try:
        yield
    finally:
        with tenancy.as_worker(), connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
