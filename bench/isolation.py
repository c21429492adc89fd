"""What the customers' own login and the signed binding cost a page: both ways in turn, on one database.

The bare way is one login that takes the customer role, and settings without a signature that name the tenant.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from unittest.mock import patch

import psycopg
from django.conf import settings
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from bench.dataset import create_dataset
from bench.environment import VAR, Environment
from bench.report import Row
from bench.timing import call_ms
from core import embedded
from core.postgresql import logins
from core.tenancy import CUSTOMER, TenantContext, context, database_of

TURNS, TIMES = 8, 8
PAGES: tuple[str, ...] = (
    "home",
    "storefront:products",
    "storefront:product",
    "dashboard",
    "servers:list",
    "billing:invoices",
)
PAGES += ("orders:progress", "billing:invoice", "accounts:profile")
SET_UNSIGNED = (
    "SELECT set_config('role', %s, true), set_config('app.user_id', %s, true),"
    " set_config('app.organizations', %s, true)"
)
ALLOW_ONE_LOGIN = f"GRANT {CUSTOMER} TO {logins.WORKER_LOGIN} WITH INHERIT FALSE, SET TRUE"
UNSIGNED = """
    CREATE OR REPLACE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('app.user_id', true), '')::uuid $$;
    CREATE OR REPLACE FUNCTION app_organizations() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT coalesce(string_to_array(nullif(current_setting('app.organizations', true), ''), ',')::uuid[], '{}') $$"""
DEFINITIONS = "SELECT pg_get_functiondef(f) FROM unnest(ARRAY['app_user'::regproc, 'app_organizations'::regproc]) AS f"


def measure(environment: Environment) -> list[Row]:
    """Each page's fastest answer with the separate login and the signed binding, beside its fastest without.

    On a machine that does other work, only the fastest answer of many says what a page costs.
    """
    dataset = create_dataset(environment.sandbox)
    client = Client()
    client.force_login(dataset.customer)
    paths = {}
    for name in PAGES:
        needs = {"storefront:product": "slug", "orders:progress": "pk", "billing:invoice": "pk"}.get(name)
        paths[name] = reverse(name, kwargs={needs: dataset.example(name, needs)} if needs else {})

    def open_page(path: str) -> Callable[[], None]:
        def call() -> None:
            assert client.get(path).status_code == 200
            connections.close_all()  # back to the pool, as after every request

        return call

    bare: dict[str, list[float]] = {name: [] for name in paths}
    ours: dict[str, list[float]] = {name: [] for name in paths}
    with one_login() as without:
        for _ in range(TURNS):
            with without():
                open_all(paths, open_page, bare)
            open_all(paths, open_page, ours)
    rows = []
    for name in paths:
        before, now = min(bare[name]), min(ours[name])
        rows.append(Row(name, now, "ms", now / before, "one login, nothing signed"))
    ratio = sum(map(min, ours.values())) / sum(map(min, bare.values()))
    return [*rows, Row("all of them", ratio, "times", ratio, "one login, nothing signed")]


def open_all(
    paths: dict[str, str], open_page: Callable[[str], Callable[[], None]], found: dict[str, list[float]]
) -> None:
    """Open each page once uncounted and then some times."""
    for name, path in paths.items():
        call = open_page(path)
        call()
        found[name] += [call_ms(call) for _ in range(TIMES)]


@contextmanager
def one_login() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """A block in which the shop works with one login and settings that nobody signed."""
    with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER), autocommit=True) as administrator:
        administrator.execute(ALLOW_ONE_LOGIN)
        signed = "; ".join(row[0] for row in administrator.execute(DEFINITIONS))

        @contextmanager
        def without() -> Iterator[None]:
            administrator.execute(UNSIGNED)
            pool = connections["default"].pool  # type: ignore[attr-defined]
            reset, pool._reset = pool._reset, None
            with (
                patch.object(settings, "CUSTOMER_DATABASE", "default"),
                patch.object(context, "_set_local", set_unsigned),
            ):
                yield
            pool._reset = reset
            administrator.execute(signed)

        yield without


def set_unsigned(tenant: TenantContext, *, is_first: bool = False) -> None:
    """The role and two settings that any statement could change."""
    organizations = ",".join(map(str, tenant.organizations))
    with transaction.get_connection(database_of(tenant)).cursor() as cursor:
        cursor.execute(SET_UNSIGNED, [tenant.role, str(tenant.user_id or ""), organizations])
