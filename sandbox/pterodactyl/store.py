"""The panel's tables, in memory, with a JSON form for the snapshot."""

import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from sandbox.pterodactyl import rows
from sandbox.pterodactyl.errors import missing


class Table[R: rows.Row]:
    """Rows by id; ids grow and are not used twice, as with AUTO_INCREMENT."""

    def __init__(self, kind: type[R], now: Callable[[], float]) -> None:
        self.kind = kind
        self.now = now
        self.rows: dict[int, R] = {}
        self.last_id = 0

    def __iter__(self) -> Iterator[R]:
        return iter(list(self.rows.values()))

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: R) -> R:
        """Store a row under the next id, or under its own when it has one."""
        row.id = row.id or self.last_id + 1
        self.last_id = max(self.last_id, row.id)
        row.created_at = row.created_at or self.now()
        row.updated_at = self.now()
        self.rows[row.id] = row
        return row

    def get(self, key: object) -> R | None:
        """The row with this id; numeric text will do."""
        if isinstance(key, str) and key.isdecimal():
            key = int(key)
        return self.rows.get(key) if isinstance(key, int) and not isinstance(key, bool) else None

    def must(self, key: object) -> R:
        """The row with this id. Raises a 404."""
        row = self.get(key)
        if row is None:
            raise missing()
        return row

    def remove(self, row: R) -> None:
        """Drop a row; harmless when it is gone already."""
        self.rows.pop(row.id, None)

    def where(self, **wanted: object) -> list[R]:
        """The rows whose attributes equal all that is asked for, oldest first."""
        return [row for row in self.rows.values() if all(getattr(row, name) == value for name, value in wanted.items())]

    def touch(self, row: R) -> None:
        """Note that a row was changed."""
        row.updated_at = self.now()

    def dump(self) -> dict[str, Any]:
        """The table as plain JSON."""
        return {"last_id": self.last_id, "rows": [asdict(row) for row in self.rows.values()]}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Replace the rows by those of a dump."""
        self.rows = {each["id"]: revive(self.kind, each) for each in saved["rows"]}
        self.last_id = saved["last_id"]


def revive[T](kind: type[T], saved: Mapping[str, Any]) -> T:
    """Build a record from its JSON form, nested records included."""
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in saved.items() if name in known}
    if kind is rows.Egg:
        values["variables"] = [revive(rows.EggVariable, each) for each in values["variables"]]
    if kind is rows.Server:
        values["runtime"] = revive(rows.Runtime, values["runtime"])
    return kind(**values)


class Store:
    """All tables of one panel."""

    users: Table[rows.User]
    keys: Table[rows.ApiKey]
    locations: Table[rows.Location]
    nodes: Table[rows.Node]
    allocations: Table[rows.Allocation]
    nests: Table[rows.Nest]
    eggs: Table[rows.Egg]
    servers: Table[rows.Server]
    backups: Table[rows.Backup]
    database_hosts: Table[rows.DatabaseHost]
    databases: Table[rows.Database]
    subusers: Table[rows.Subuser]
    schedules: Table[rows.Schedule]
    activity: Table[rows.Activity]
    agenda: Table[rows.Due]

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.clear()

    def clear(self) -> None:
        """Make every table new and empty."""
        for name, kind in self.kinds().items():
            setattr(self, name, Table(kind, self.now))

    @classmethod
    def kinds(cls) -> dict[str, type[rows.Row]]:
        """Each table's name and the kind of its rows."""
        return {name: typing.get_args(hint)[0] for name, hint in typing.get_type_hints(cls).items()}

    def tables(self) -> dict[str, Table[Any]]:
        """Each table by name."""
        return {name: getattr(self, name) for name in self.kinds()}

    def dump(self) -> dict[str, Any]:
        """Every table as plain JSON."""
        return {name: table.dump() for name, table in self.tables().items()}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Replace the tables by those of a dump."""
        for name, table in self.tables().items():
            table.load(saved[name])

    def server_at(self, allocation: rows.Allocation) -> rows.Server | None:
        """The server that holds an allocation."""
        return self.servers.get(allocation.server_id) if allocation.server_id else None

    def allocations_of(self, server: rows.Server) -> list[rows.Allocation]:
        """What a server holds; the panel lists them by id."""
        return self.allocations.where(server_id=server.id)

    def database_count(self, server: rows.Server) -> int:
        """How many databases a server has."""
        return len(self.databases.where(server_id=server.id))
