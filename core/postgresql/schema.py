"""The schema editor: Django's own, without the second index that it makes for text columns."""

from typing import Any

from django.db.backends.postgresql import schema


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Unique and indexed text columns get one index.

    Django adds another one with `varchar_pattern_ops` for LIKE 'prefix%', which nothing here asks for: it would be
    written with every row. A search by prefix declares its index.
    """

    def _create_like_index_sql(self, *_args: Any, **_kwargs: Any) -> None:
        return None
