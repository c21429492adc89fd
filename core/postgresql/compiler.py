"""The ORM's compilers: Django's own, except that a customer's query leaves out what customers may not read.

Such a column is deferred, as by `defer()`. Code that asks for it by name is refused by PostgreSQL. And a query that was
compiled before (core/compiled.py) is not compiled again.
"""

from typing import Any

from django.db.backends.postgresql.compiler import (
    SQLAggregateCompiler,
    SQLDeleteCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)
from django.db.models.sql import compiler

from core.tenancy.context import current
from core.tenancy.declarations import hidden_columns
from core.tenancy.roles import CUSTOMER

__all__ = ["SQLAggregateCompiler", "SQLCompiler", "SQLDeleteCompiler", "SQLInsertCompiler", "SQLUpdateCompiler"]


class SQLCompiler(compiler.SQLCompiler):
    """Selects no hidden column for a customer, unless `only()` names it."""

    def as_sql(self, *args: Any, **kwargs: Any) -> tuple[str, tuple[Any, ...]]:
        """The statement and its parameters."""
        compiled = getattr(self.query, "compiled", None)
        if compiled is None:
            return super().as_sql(*args, **kwargs)
        self.__dict__.update(compiled.compiler_state)
        return compiled.sql, compiled.parameters

    def get_default_columns(self, *args: Any, **kwargs: Any) -> list[Any]:
        """The columns of a model, without those hidden from the role in force."""
        columns: list[Any] = super().get_default_columns(*args, **kwargs)
        context = current()
        _names, is_deferring = self.query.deferred_loading
        if context is None or context.role != CUSTOMER or not is_deferring:
            return columns
        return [column for column in columns if column.target.column not in hidden_columns(column.target.model)]
