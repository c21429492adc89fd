"""Merging staged rows into a table: what is unchanged is not written, what is gone is marked, nothing is deleted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

STAGE = "servers_stage"
NAMES = {"INSERT": "added", "UPDATE": "changed"}


@dataclass(frozen=True)
class Mirror:
    """How a table follows the provider.

    `key` and `values` are columns with their SQL types; `first` are columns taken over when a row is new and ours
    afterwards; `fixed` are SQL values of a new row; `before` is SQL to run ahead of the merge; `scope` is the SQL
    condition (over `t`) of the rows that the stage speaks for, with the parameter `scope`.
    """

    table: str
    scope: str
    key: Mapping[str, str]
    values: Mapping[str, str]
    first: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    before: str = ""

    @property
    def staged(self) -> dict[str, str]:
        """Every column that a staged row has, in order."""
        return {**self.key, **self.values, **self.first}


def merge(mirror: Mirror, rows: Iterable[Sequence[Any]], *, scope: Any) -> dict[str, int]:
    """Bring the table in line with the rows, each in the order of `staged`; how many were seen, added, changed, gone.

    In the caller's transaction. A key that comes twice counts once, as it came last.
    """
    unique = {tuple(row[: len(mirror.key)]): row for row in rows}
    with connection.cursor() as cursor:
        _stage(cursor, mirror, unique.values())
        if mirror.before:
            cursor.execute(mirror.before)
        cursor.execute(_merge_sql(mirror), {"scope": scope})
        actions = Counter("gone" if is_gone else NAMES[action] for action, is_gone in cursor.fetchall())
        cursor.execute(f"DROP TABLE {STAGE}")
    return {"seen": len(unique), "added": actions["added"], "changed": actions["changed"], "gone": actions["gone"]}


def _stage(cursor: Any, mirror: Mirror, rows: Iterable[Sequence[Any]]) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in mirror.staged.items())
    cursor.execute(f"CREATE TEMPORARY TABLE {STAGE} ({columns}) ON COMMIT DROP")
    with cursor.copy(f"COPY {STAGE} ({', '.join(mirror.staged)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    cursor.execute(f"ANALYZE {STAGE}")


def _merge_sql(mirror: Mirror) -> str:
    """One MERGE. Unlike ON CONFLICT it does not even lock the rows that stay as they are."""
    matched = " AND ".join(f"t.{name} = s.{name}" for name in mirror.key)
    old = ", ".join(f"t.{name}" for name in mirror.values)
    new = ", ".join(f"s.{name}" for name in mirror.values)
    changes = ", ".join(f"{name} = s.{name}" for name in mirror.values)
    columns = [*mirror.staged, *mirror.fixed, "id", "is_present"]
    values = [*(f"s.{name}" for name in mirror.staged), *mirror.fixed.values(), "uuidv7()", "true"]
    return f"""
        MERGE INTO {mirror.table} AS t USING {STAGE} AS s ON {matched} AND {mirror.scope}
        WHEN MATCHED AND (NOT t.is_present OR ({old}) IS DISTINCT FROM ({new}))
            THEN UPDATE SET {changes}, is_present = true
        WHEN NOT MATCHED THEN INSERT ({", ".join(columns)}) VALUES ({", ".join(values)})
        WHEN NOT MATCHED BY SOURCE AND t.is_present AND {mirror.scope} THEN UPDATE SET is_present = false
        RETURNING merge_action(), NOT t.is_present"""
