"""What is public of the shop, read again only after something of it changed.

The catalog changes once a week and capacity with every order, while pages that show them are opened all the time. So a
page asks one query, whose answer differs after any change that such a page could show, and keeps what it read before.
"""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connections, models
from django.db.models import Count
from django.utils.translation import get_language

from catalog import queries as catalog
from core import tenancy
from core.tenancy.declarations import tenancy_of
from servers.models import FREE, Allocation, Egg, EggVariable, Nest, Provider

MAX_KEPT = 512
APPS = {"catalog", "servers"}
NOT_SHOWN: set[type[models.Model]] = {Allocation, Nest, Egg, EggVariable}
_kept: dict[Hashable, tuple[str, Any]] = {}


def read_once[Found](key: Hashable, read: Callable[[], Found]) -> Found:
    """What `read` returns, from memory while nothing public has changed. It may depend on the key and the language.

    Requests share it, so nobody changes it.
    """
    version = public_version()
    key = (key, get_language())
    kept = _kept.get(key)
    if kept is not None and kept[0] == version:
        found: Found = kept[1]
        return found
    if len(_kept) >= MAX_KEPT:
        _kept.clear()
    found = read()  # after the version: what changes in between is read again next time
    _kept[key] = (version, found)
    return found


def public_version() -> str:
    """A text that differs after any change of what is for sale, or of where there is capacity for it. One query."""
    sql, parameters = version_query()
    with tenancy.as_worker_without_row(), connections["default"].cursor() as cursor:
        cursor.execute(sql, parameters)
        return str(cursor.fetchone()[0])


def public_models() -> list[type[models.Model]]:
    """Whose rows pages of the storefront show, or depend on; of allocations only the number of free ones counts."""
    ours = [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label in APPS]
    return [model for model in ours if tenancy_of(model) is tenancy.SHARED and model not in NOT_SHOWN] + [Provider]


@cache
def version_query() -> tuple[str, tuple[Any, ...]]:
    """The query of `public_version`: each row by its place (ctid) and the transaction that wrote it (xmin).

    A promotion begins and ends without being written, so those that are open count too.
    """
    parts = [
        f"SELECT {number} AS number, sum(hashtextextended(ctid::text || xmin::text, 0)) AS part"
        f' FROM "{model._meta.db_table}"'
        for number, model in enumerate(public_models())
    ]
    free = Allocation.objects.filter(FREE).order_by().values("node").annotate(count=Count("pk")).values("node", "count")
    free_sql, parameters = free.query.sql_with_params()
    parts.append(f"SELECT -1, sum(hashtextextended(free.*::text, 0)) FROM ({free_sql}) AS free")
    open_sql, open_parameters = catalog.open_promotions().order_by().values("id").query.sql_with_params()
    parts.append(f"SELECT -2, sum(hashtextextended(promotion.id::text, 0)) FROM ({open_sql}) AS promotion")
    sql = f"SELECT string_agg(coalesce(part, 0)::text, ',' ORDER BY number) FROM ({' UNION ALL '.join(parts)}) AS parts"
    return sql, (*parameters, *open_parameters)
