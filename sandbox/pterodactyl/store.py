"""The panel's tables, in memory, with a JSON form for the snapshot."""

import typing
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from sandbox.pterodactyl import rows
from sandbox.pterodactyl.errors import not_found


class Table[R: rows.Row]:
    """Rows by id; ids grow and are not used twice, as with AUTO_INCREMENT."""

    def __init__(self, row_type: type[R], now: Callable[[], float]) -> None:
        self.row_type = row_type
        self.now = now
        self.rows: dict[int, R] = {}
        self.last_id = 0
        self._indexes: dict[str, dict[Any, list[R]]] = {}
        self._indexed_at: dict[str, tuple[int, ...]] = {}

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
        """The row with this id, which may be numeric text."""
        if isinstance(key, str) and key.isdecimal():
            key = int(key)
        return self.rows.get(key) if isinstance(key, int) and not isinstance(key, bool) else None

    def get_or_404(self, key: object) -> R:
        """The row with this id, which may be numeric text. Raises a 404."""
        row = self.get(key)
        if row is None:
            raise not_found()
        return row

    def remove(self, row: R) -> None:
        """Delete a row; harmless when it is deleted already."""
        self.rows.pop(row.id, None)

    def where(self, **wanted: object) -> list[R]:
        """The rows whose attributes have all these values, oldest first."""
        first, *others = wanted.items()
        return [row for row in self._with(*first) if all(getattr(row, name) == value for name, value in others)]

    def _with(self, name: str, value: Any) -> list[R]:
        """The rows with this value in one column, by an index that is as old as the last change."""
        version = rows.Row.changes, len(self.rows), self.last_id
        if self._indexed_at.get(name) != version:
            self._indexes[name] = found = defaultdict[Any, list[R]](list)
            for row in self.rows.values():
                found[getattr(row, name)].append(row)
            self._indexed_at[name] = version
        return self._indexes[name].get(value, [])

    def touch(self, row: R) -> None:
        """Set the time of the last change."""
        row.updated_at = self.now()

    def dump(self) -> dict[str, Any]:
        """The table as plain JSON."""
        return {"last_id": self.last_id, "rows": [asdict(row) for row in self.rows.values()]}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Replace the rows by those of a dump."""
        self.rows = {each["id"]: from_json(self.row_type, each) for each in saved["rows"]}
        self.last_id = saved["last_id"]


def from_json[T](row_type: type[T], saved: Mapping[str, Any]) -> T:
    """Build a row from its JSON form, nested rows included."""
    known = {each.name for each in fields(row_type)}  # type: ignore[arg-type]
    values = {name: value for name, value in saved.items() if name in known}
    if row_type is rows.Egg:
        values["variables"] = [from_json(rows.EggVariable, each) for each in values["variables"]]
    if row_type is rows.Server:
        values["runtime"] = from_json(rows.Runtime, values["runtime"])
    return row_type(**values)


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
    schedules: Table[rows.Schedule]
    jobs: Table[rows.Job]

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.clear()

    def clear(self) -> None:
        """Empty every table."""
        for name, hint in typing.get_type_hints(Store).items():
            setattr(self, name, Table(typing.get_args(hint)[0], self.now))

    def tables(self) -> dict[str, Table[Any]]:
        """Each table by name."""
        return {name: getattr(self, name) for name in typing.get_type_hints(Store)}

    def dump(self) -> dict[str, Any]:
        """Every table as plain JSON."""
        return {name: table.dump() for name, table in self.tables().items()}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Replace the tables by those of a dump."""
        for name, table in self.tables().items():
            table.load(saved[name])

    def allocations_of(self, server: rows.Server) -> list[rows.Allocation]:
        """The allocations assigned to a server, by id."""
        return self.allocations.where(server_id=server.id)
