"""Lanes: how many workers may work for one outside system at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.apps import apps

# The lanes that are full are found once for a claim, however many rows are due. The column of a row may be empty.
BUSY = "SELECT {columns} FROM {table} WHERE state = 'running' AND lease_until > {{now}}"
HAS_FREE_WORKER = """(item.{column} IS NULL OR item.{column} <> ALL (ARRAY(
    SELECT busy.{column} FROM busy WHERE busy.{column} IS NOT NULL GROUP BY 1 HAVING count(*) >= {limit})))"""


@dataclass(frozen=True, eq=False)
class Lane:
    """Rows with the same value in a column of `limits` share so many workers, in all processes together.

    Several tables may have the same lane, and then share its workers. So an outside system that hangs keeps the workers
    of its own lanes, and no others.
    """

    name: str
    limits: Mapping[str, int]

    def busy(self) -> str:
        """SQL: the lane's columns of every row that a worker has now, as `{now}` says."""
        tables = [model._meta.db_table for model in apps.get_models() if getattr(model, "LANE", None) is self]
        columns = ", ".join(self.limits)
        return " UNION ALL ".join(BUSY.format(columns=columns, table=table) for table in tables)

    def has_free_workers(self) -> str:
        """SQL: whether `item` may be claimed beside those that are `busy`."""
        conditions = (HAS_FREE_WORKER.format(column=column, limit=limit) for column, limit in self.limits.items())
        return " AND ".join(conditions)
