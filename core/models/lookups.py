"""Lookups that Django does not have."""

from typing import Any

from django.db.models import ForeignKey, Lookup, UUIDField
from django.db.models.sql.compiler import SQLCompiler


@UUIDField.register_lookup
@ForeignKey.register_lookup
class Among(Lookup[Any]):
    """As `in`, for the many ids of a batch: one array, where `in` has a placeholder for each.

    To put a thousand placeholders into a statement takes longer than the statement.
    """

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        lhs, params = self.process_lhs(compiler, connection)
        return f"{lhs} = ANY (%s::uuid[])", [*params, list(self.rhs)]
