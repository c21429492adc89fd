"""Writing many rows at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def update_rows(rows: Sequence[Model], fields: Sequence[str]) -> None:
    """Write these fields of each row, in one statement; the rows are of one model.

    Django's bulk_update builds a CASE of every row for each field, which takes longer than the statement itself.
    """
    if not rows:
        return
    meta, quote = type(rows[0])._meta, connection.ops.quote_name
    named = {field.name: field for field in meta.concrete_fields}
    written = [named[str(meta.pk.name)], *(named[name] for name in fields)]
    # Without its length a type refuses what is too long, where a cast to it would shorten the value.
    types = [str(field.db_type(connection)).partition("(")[0] for field in written]
    columns = [quote(str(field.column)) for field in written]
    sql = (
        f"UPDATE {quote(meta.db_table)} AS stored SET {', '.join(f'{name} = new.{name}' for name in columns[1:])}"
        f" FROM unnest({', '.join(f'%s::{kind}[]' for kind in types)}) AS new ({', '.join(columns)})"
        f" WHERE stored.{columns[0]} = new.{columns[0]}"
    )
    values = [[field.get_db_prep_save(getattr(row, field.attname), connection) for row in rows] for field in written]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def insert_from(model: type[Model], columns: Mapping[str, str], source: str, params: Mapping[str, Any]) -> int:
    """Insert what a query selects, without the rows passing through this process; how many.

    `columns` gives the SQL of each field by its name, `source` what follows SELECT and those. A field that is not given
    takes the model's default. Keys are time-ordered in the order of the source.
    """
    values: dict[str, Any] = dict(params)
    selected: dict[str, str] = {}
    for field in model._meta.concrete_fields:
        column = str(field.column)
        if field.attname in columns:
            selected[column] = columns[field.attname]
        elif field.primary_key:
            selected[column] = "uuidv7()"
        elif not field.has_db_default() and (default := field.get_default()) is not None:
            selected[column] = f"%(default_{column})s"
            values[f"default_{column}"] = field.get_db_prep_save(default, connection)
    names = ", ".join(map(connection.ops.quote_name, selected))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} ({names})"
            f" SELECT {', '.join(selected.values())} {source}",
            values,
        )
        return int(cursor.rowcount)
