"""Merging staged rows into a table: unchanged rows are not written, missing ones are marked, none is deleted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

type Finding = dict[str, str]
type Counts = dict[str, dict[str, int]]

STAGE = "servers_stage"
NAMES = {"INSERT": "added", "UPDATE": "changed"}


@dataclass(frozen=True)
class Mirror:
    """How a table follows the provider.

    `key` and `values` are columns with their SQL types; `initial` are columns copied only into a new row; `fixed` are
    SQL values of a new row; `before` is SQL to run ahead of the merge; `scope` is the SQL condition (over `t`) of the
    rows that the stage is complete for, with the parameter `scope`.
    """

    table: str
    scope: str
    key: Mapping[str, str]
    values: Mapping[str, str]
    initial: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    before: str = ""

    @property
    def staged(self) -> dict[str, str]:
        """Every column that a staged row has, in order."""
        return {**self.key, **self.values, **self.initial}


def merge(mirror: Mirror, rows: Iterable[Sequence[Any]], *, scope: Any) -> dict[str, int]:
    """Make the table agree with the rows, each in the order of `staged`; how many were read, added, changed, removed.

    In the caller's transaction. Of two rows with the same key the last one counts.
    """
    unique = {tuple(row[: len(mirror.key)]): row for row in rows}
    matched = " AND ".join(f"t.{name} = s.{name}" for name in mirror.key)
    old = ", ".join(f"t.{name}" for name in mirror.values)
    new = ", ".join(f"s.{name}" for name in mirror.values)
    changes = ", ".join(f"{name} = s.{name}" for name in mirror.values)
    columns = ", ".join([*mirror.staged, *mirror.fixed, "id", "is_present"])
    values = ", ".join([*(f"s.{name}" for name in mirror.staged), *mirror.fixed.values(), "uuidv7()", "true"])
    # Unlike ON CONFLICT, MERGE does not even lock the rows that stay as they are.
    merge_sql = f"""
        MERGE INTO {mirror.table} AS t USING {STAGE} AS s ON {matched} AND {mirror.scope}
        WHEN MATCHED AND (NOT t.is_present OR ({old}) IS DISTINCT FROM ({new}))
            THEN UPDATE SET {changes}, is_present = true
        WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})
        WHEN NOT MATCHED BY SOURCE AND t.is_present AND {mirror.scope} THEN UPDATE SET is_present = false
        RETURNING merge_action(), NOT t.is_present"""
    with connection.cursor() as cursor:
        staged = ", ".join(f"{name} {kind}" for name, kind in mirror.staged.items())
        cursor.execute(f"CREATE TEMPORARY TABLE {STAGE} ({staged}) ON COMMIT DROP")
        with cursor.copy(f"COPY {STAGE} ({', '.join(mirror.staged)}) FROM STDIN") as copy:
            for row in unique.values():
                copy.write_row(row)
        cursor.execute(f"ANALYZE {STAGE}")
        if mirror.before:
            cursor.execute(mirror.before)
        cursor.execute(merge_sql, {"scope": scope})
        actions = Counter("removed" if is_removed else NAMES[action] for action, is_removed in cursor.fetchall())
        cursor.execute(f"DROP TABLE {STAGE}")
    return {"read": len(unique), **{name: actions[name] for name in ("added", "changed", "removed")}}


def ids_by_ref(rows: Any) -> dict[str, UUID]:
    """Our key of each row by the provider's."""
    return dict(rows.values_list("ref", "pk"))
