"""Merging staged rows into a table: unchanged rows are not written, missing ones are marked, none is deleted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

type Counts = dict[str, int]

STAGE = "servers_stage"
NAMES = {"INSERT": "added", "UPDATE": "changed"}


@dataclass(frozen=True)
class Mirror:
    """How a table follows the provider.

    `source` is a query over the staged lists, with the parameters of `merge`: the columns `key`, `values` and `initial`
    (copied only into a new row) and the row's `position`. `fixed` are SQL values of a new row; `before` is SQL to run
    ahead of the merge; `scope` is the SQL condition (over `t`) of the rows that the source is complete for.
    """

    table: str
    source: str
    scope: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    initial: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    before: str = ""


def merge(mirror: Mirror, **parameters: Any) -> Counts:
    """Make the table agree with the source; how many rows were read, added, changed and removed.

    Every source has the parameter `provider`. In the caller's transaction. Of two rows with the same key the last one
    counts.
    """
    key = ", ".join(mirror.key)
    matched = " AND ".join(f"t.{name} = s.{name}" for name in mirror.key)
    old = ", ".join(f"t.{name}" for name in mirror.values)
    new = ", ".join(f"s.{name}" for name in mirror.values)
    changes = ", ".join(f"{name} = s.{name}" for name in mirror.values)
    staged = [*mirror.key, *mirror.values, *mirror.initial]
    columns = ", ".join([*staged, *mirror.fixed, "id", "is_present"])
    values = ", ".join([*(f"s.{name}" for name in staged), *mirror.fixed.values(), "uuidv7()", "true"])
    # Unlike ON CONFLICT, MERGE does not even lock the rows that stay as they are.
    merge_sql = f"""
        MERGE INTO {mirror.table} AS t USING {STAGE} AS s ON {matched} AND {mirror.scope}
        WHEN MATCHED AND (NOT t.is_present OR ROW({old}) IS DISTINCT FROM ROW({new}))
            THEN UPDATE SET {changes}, is_present = true
        WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})
        WHEN NOT MATCHED BY SOURCE AND t.is_present AND {mirror.scope} THEN UPDATE SET is_present = false
        RETURNING merge_action(), NOT t.is_present"""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS SELECT DISTINCT ON ({key}) * FROM ({mirror.source}) AS s"
            f" ORDER BY {key}, position DESC",
            parameters,
        )
        read = cursor.rowcount
        cursor.execute(f"ANALYZE {STAGE}")
        if mirror.before:
            cursor.execute(mirror.before)
        cursor.execute(merge_sql, parameters)
        actions = Counter("removed" if is_removed else NAMES[action] for action, is_removed in cursor.fetchall())
        cursor.execute(f"DROP TABLE {STAGE}")
    return {"read": read, **{name: actions[name] for name in ("added", "changed", "removed")}}
