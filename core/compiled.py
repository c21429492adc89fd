"""Querysets whose SQL is built once for each process: the ORM takes longer to build one than PostgreSQL to answer it.

    servers_of = compiled(lambda organization: Server.objects.filter(organization=organization).order_by("name"))
    rows = servers_of(request.organization)

The function is called with stand-ins for ids, texts and instants, and may only ask for them: each becomes a parameter
of the query. What decides its shape (a number, a choice, a role, how many values a tuple has) is passed as it is, and
each shape is built once for each database role.
"""

import secrets
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import models

from core.tenancy.context import current

MAX_SHAPES = 64  # of one query: a page's number is a shape
COMPILER_STATE = ("select", "klass_info", "annotation_col_map", "col_count", "has_extra_select")
LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)

type Value = UUID | datetime | str
type Builder[Row] = Callable[..., models.QuerySet[Any, Row]]


class NotAParameter(TypeError):
    """The function used a value otherwise than as a parameter of its query."""


@dataclass(frozen=True)
class CompiledQuery:
    """SQL that the compiler returns instead of building it, with what it knows once it has (see `core.postgresql`)."""

    sql: str
    parameters: tuple[Any, ...]
    compiler_state: Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """A queryset with its SQL, and at which of the values each parameter is found: its index, or a constant."""

    queryset: "models.QuerySet[Any, Any]"
    sql: str
    parameters: tuple[tuple[int | None, Any], ...]
    compiler_state: Mapping[str, Any]

    def rows(self, values: list[Value]) -> list[Any]:
        """What the query finds now with these values."""
        parameters = tuple([constant if index is None else values[index] for index, constant in self.parameters])
        query = _shallow_copy(self.queryset.query)
        query.compiled = CompiledQuery(self.sql, parameters, self.compiler_state)
        queryset = _shallow_copy(self.queryset)
        queryset._query = query  # the property would make tuples dictionaries
        return list(queryset)


def compiled[Row](build: Builder[Row]) -> Callable[..., list[Row]]:
    """A function with the same arguments that reads the rows of the queryset which `build` returns."""
    return partial(_rows, build, {})


def _rows(build: Builder[Any], shapes: dict[Hashable, Shape | None], *arguments: Any) -> list[Any]:
    context = current()
    values: list[Value] = []
    key = (context and context.role, *[_shape_of(each, values) for each in arguments])
    try:
        shape = shapes[key]
    except KeyError:
        for oldest in list(shapes)[: max(0, len(shapes) - MAX_SHAPES + 1)]:
            shapes.pop(oldest, None)
        shape = shapes[key] = _built(build, arguments)
    return [] if shape is None else shape.rows(values)


def _built(build: Builder[Any], arguments: tuple[Any, ...]) -> Shape | None:
    """The query; None where it finds nothing whatever the values are.

    Built twice, with other stand-ins: what then differs was computed from one, and would be the same for all readers.
    """
    found: list[tuple[str, tuple[tuple[int | None, Any], ...]]] = []
    for _time in range(2):
        stand_ins: list[Value] = []
        queryset = build(*[_with_stand_ins(each, stand_ins) for each in arguments])
        compiler = queryset.query.get_compiler(using=queryset.db)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:
            return None
        places = [(stand_ins.index(each), None) if each in stand_ins else (None, each) for each in parameters]
        found.append((sql, tuple(places)))
    if found[0] != found[1]:
        raise NotAParameter("a value was used otherwise than as a parameter of the query")
    return Shape(queryset, *found[0], {name: getattr(compiler, name) for name in COMPILER_STATE})


def _shape_of(argument: Any, values: list[Value]) -> Hashable:
    """What of the argument decides the query's shape. The values in it are appended to `values`."""
    if argument is None or isinstance(argument, Enum | int):
        return argument
    if isinstance(argument, UUID | datetime | str):
        values.append(argument)
        return type(argument).__name__
    if isinstance(argument, models.Model):
        values.append(argument.pk)
        return type(argument)
    if isinstance(argument, tuple):
        return tuple([_shape_of(each, values) for each in argument])
    if isinstance(argument, Mapping):
        return tuple([(_shape_of(key, values), _shape_of(each, values)) for key, each in argument.items()])
    if is_dataclass(argument):
        return tuple([_shape_of(getattr(argument, field.name), values) for field in fields(argument)])
    raise NotAParameter(f"a query has no parameter of type {type(argument).__name__}")


def _with_stand_ins(argument: Any, stand_ins: list[Value]) -> Any:
    """The argument with a stand-in for each value that `_shape_of` finds in it, in the same order."""
    if isinstance(argument, Enum | int):
        return argument
    if isinstance(argument, UUID | datetime | str):
        stand_ins.append(_stand_in(argument))
        return stand_ins[-1]
    if isinstance(argument, models.Model):
        stand_ins.append(_stand_in(argument.pk))
        return type(argument)(pk=stand_ins[-1])
    if isinstance(argument, tuple):
        return tuple([_with_stand_ins(each, stand_ins) for each in argument])
    if isinstance(argument, Mapping):
        pairs = [(_with_stand_ins(key, stand_ins), _with_stand_ins(each, stand_ins)) for key, each in argument.items()]
        return dict(pairs)
    if argument is None:
        return argument
    parts = {field.name: _with_stand_ins(getattr(argument, field.name), stand_ins) for field in fields(argument)}
    return replace(argument, **parts)


def _stand_in(value: Value) -> Value:
    if isinstance(value, UUID):
        return uuid4()
    if isinstance(value, datetime):
        return LONG_AGO + timedelta(microseconds=secrets.randbelow(2**50))
    return secrets.token_hex()


def _shallow_copy(original: Any) -> Any:
    copied = object.__new__(type(original))
    copied.__dict__.update(original.__dict__)
    return copied
