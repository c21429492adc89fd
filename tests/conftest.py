"""The suite's database: migrations run as the login role, everything else as the runtime role."""

import gc
import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.db import connections
from django.test import TestCase, TransactionTestCase
from django.test.utils import override_settings

from core import embedded, site_settings
from core.outside import OutsideSession
from core.outside.limits import reset_limits
from core.postgresql import logins
from tests import database_reset, migrated_database
from tests.sandbox_fixtures import STRIPE_KEY, WEBHOOK_SECRET, sandbox, sandbox_process, stripe_sandbox

__all__ = ["sandbox", "sandbox_process", "stripe_sandbox"]  # fixtures for every test
ROOT = Path(__file__).parent
LONGEST = (
    *("browser/test_every_page.py", "faults/test_kills.py", "admin/test_pages.py", "browser/test_story.py"),
    "browser/test_money_story.py",
    *("faults/test_outages.py", "scenarios/test_afterwards.py", "admin/test_lookups.py", "billing/test_balance.py"),
    *("servers/test_installation.py", "isolation/test_routes.py", "faults/test_concurrency.py"),
    *("faults/test_histories.py", "faults/test_credit.py", "billing/test_lost_webhooks.py"),
)


def pytest_configure() -> None:
    """A line for each outside call and a traceback for each 404, in three handlers, would be a tenth of the work."""
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("django.request").setLevel(logging.ERROR)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 25, 25)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that all workers end at about the same time."""
    places = {ROOT / path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Create the test database as its owner, then work in it as nodebyte_worker, as every real process does."""
    options = connections["default"].settings_dict["OPTIONS"]
    role = options.pop("assume_role", None)
    connections["default"].close()
    setup = request.getfixturevalue("_created_database")
    if role:
        options["assume_role"] = role
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections["default"].close()
        database_reset.save_migrated_rows()
    writing = {"default", "cache"} & set(connections)
    TransactionTestCase.databases, TestCase.databases = {*writing, "customer"}, writing
    setattr(TransactionTestCase, "_fixture_teardown", lambda _case: database_reset.reset())  # noqa: B010 - private to Django
    yield setup
    options.pop("assume_role", None)
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections["default"].close()


@pytest.fixture(scope="session")
def _created_database(
    request: pytest.FixtureRequest, django_test_environment: None, django_db_blocker: pytest.FixtureRequest
) -> Iterator[None]:
    from django.test.utils import setup_databases, teardown_databases

    worker = getattr(request.config, "workerinput", {}).get("workerid", "alone")
    database = connections["default"].settings_dict
    database.setdefault("TEST", {})["NAME"] = f"test_{database['NAME']}_{worker}"
    options = database["OPTIONS"]
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        if settings.HAS_EMBEDDED_DATABASE:
            embedded.start(settings.VAR, is_disposable=True)
        _give_leftovers_to_the_owner()
        options["assume_role"] = logins.OWNER
        if settings.HAS_EMBEDDED_DATABASE:
            database["TEST"]["TEMPLATE"] = migrated_database.ensure_template()
        created = setup_databases(verbosity=0, interactive=False, keepdb=False, serialized_aliases=set())
        if "cache" in connections:  # a test's transaction holds what it caches, too
            connections["cache"].settings_dict["TEST"]["MIRROR"] = None
        del options["assume_role"]
        connections["default"].close()
        connections["default"].ensure_connection()
        logins.restrict_everybody(connections["default"].connection)
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connections["default"].settings_dict["OPTIONS"].pop("assume_role", None)
        connections.close_all()
        database_reset.disconnect()
        teardown_databases(created, verbosity=0)


def _give_leftovers_to_the_owner() -> None:
    """Databases of earlier runs are copied and dropped by the owner."""
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [migrated_database.LOCK])
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^(test|migrated)_' AND datdba <> %s::regrole",
            [logins.OWNER],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER DATABASE "{name}" OWNER TO {logins.OWNER}')


@pytest.fixture(autouse=True)
def _customers_use_their_own_login(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test really commits, customers' pages use the customers' login, as they do in every shop.

    A test in one transaction that is rolled back has one connection, on which customers get the customer role instead.
    """
    marker = request.node.get_closest_marker("django_db")
    commits = bool(marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames
    with override_settings(CUSTOMER_DATABASE="customer") if commits else nullcontext():
        yield
    if commits:
        connections["customer"].close()


@pytest.fixture(autouse=True)
def _closed_breakers() -> Iterator[None]:
    """A breaker that one test opened must not stay open for the next."""
    reset_limits()
    yield
    reset_limits()


@pytest.fixture
def pooled(transactional_db: None) -> Iterator[None]:
    """The customers' connection comes from a pool of exactly one."""
    before = connections["customer"]
    options = before.settings_dict["OPTIONS"] | {"pool": {"min_size": 1, "max_size": 1}}
    wrapper: Any = type(before)(before.settings_dict | {"OPTIONS": options}, alias="customer")
    connections["customer"] = wrapper
    yield
    wrapper.close()
    wrapper.close_pool()
    connections["customer"] = before


@pytest.fixture(autouse=True)
def _no_cached_settings() -> Iterator[None]:
    """Settings that one test rolled back are unknown to the next (the cache is a table, and rolled back too)."""
    site_settings.clear_cache()
    yield
    site_settings.clear_cache()


@pytest.fixture(scope="session", autouse=True)
def _passwords_are_hashed_quickly() -> Iterator[None]:
    """A slow hash protects real passwords; here there are none, and every test creates some."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _retries_pause_briefly() -> Iterator[None]:
    """Between the tries of one call passes a twentieth of the time. tests/core/test_outside.py counts the pauses."""
    defaults = OutsideSession.__init__.__kwdefaults__ or {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "sleep", lambda seconds: time.sleep(seconds / 20))
        yield


@pytest.fixture(scope="session", autouse=True)
def _stripe_has_keys() -> Iterator[None]:
    """Without keys an account takes no payment. Only tests that ask for the stand-in reach one."""
    keys = {"STRIPE_SECRET_KEY": STRIPE_KEY, "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET}
    with override_settings(**keys, STRIPE_API_BASE="http://127.0.0.1:1"):
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_messages_to_workers() -> None:
    """Messages go nowhere: tests run due work themselves."""
    current_app.conf.update(broker_url="memory://")
