"""The lookups that the filters of a list ask."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.filters import EmptyFieldListFilter, SimpleListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.db import models


def declared_lookups(model: type[models.Model], filters: Iterable[Any], date_hierarchy: str | None) -> set[str]:
    """The query parameters of these filters and of the date hierarchy, as Django's own filters name them."""
    lookups = {f"{date_hierarchy}__{part}" for part in ("year", "month", "day")} if date_hierarchy else set()
    for declared in filters:
        if isinstance(declared, type) and issubclass(declared, SimpleListFilter):
            lookups.add(str(declared.parameter_name))
            continue
        path, kind = declared if isinstance(declared, tuple) else (declared, None)
        field = get_fields_from_path(model, path)[-1]
        if kind is EmptyFieldListFilter:
            lookups.add(f"{path}__isempty")
        elif field.is_relation:
            lookups |= {f"{path}__{field.target_field.name}__exact", f"{path}__isnull"}  # type: ignore[attr-defined]
        elif isinstance(field, models.DateField):
            lookups |= {f"{path}__gte", f"{path}__lt", f"{path}__isnull"}
        else:
            lookups |= {path, f"{path}__exact", f"{path}__in", f"{path}__isnull"}
    return lookups
