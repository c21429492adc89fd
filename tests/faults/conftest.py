"""The shop of the stories about faults: built once for a file, and reset before each test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test.utils import override_settings

from billing.gateways.stripe import client as stripe_client
from core.ids import uuid7
from core.outside import OutsideSession
from core.outside.limits import reset_limits
from sandbox.client import Sandbox
from servers.drivers.pterodactyl import client as panel_client
from tests import database_reset
from tests.faults.purchase import Purchase
from tests.sandbox_fixtures import STRIPE_KEY, WEBHOOK_SECRET
from tests.shop import Shop, make_shop

pytest.register_assert_rewrite("tests.faults.ends", "tests.faults.histories", "tests.faults.lives")
TIMEOUT_SECONDS = 0.4
BUILT = "built_shop"  # the schema that the rows of the new shop are saved in


@pytest.fixture(scope="module")
def built_shop(sandbox_process: Sandbox, django_db_setup: None, django_db_blocker: Any) -> Iterator[Shop]:
    """A shop with a customer, its panel synced; saved so that each test gets it as new."""
    sandbox_process.reset()
    with django_db_blocker.unblock():
        database_reset.reset()
        shop = make_shop(sandbox_process)
        database_reset.save_rows(BUILT)
        yield shop
        database_reset.reset()


@pytest.fixture(scope="module")
def _warm_caches(built_shop: Shop, django_db_blocker: Any) -> None:
    """Buy once in this process: those forked from it inherit its imports, addresses and templates.

    Making them anew would be half of what each of them does.
    """
    stripe = {"STRIPE_API_BASE": built_shop.sandbox.stripe_url, "STRIPE_SECRET_KEY": STRIPE_KEY}
    with django_db_blocker.unblock(), override_settings(**stripe, STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET):
        Purchase(built_shop, token=uuid7(), began_at=datetime.now(tz=UTC)).run()
    stripe_client._client.cache_clear()  # a forked process must not speak on its parent's sockets


@pytest.fixture
def shop(built_shop: Shop, settings: Any, django_db_blocker: Any) -> Iterator[Shop]:
    """The shop as it was built, its stand-ins as at their start."""
    settings.STRIPE_API_BASE = built_shop.sandbox.stripe_url
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = STRIPE_KEY, WEBHOOK_SECRET
    built_shop.sandbox.reset()
    with django_db_blocker.unblock():
        database_reset.reset(to=BUILT)
        yield built_shop


@pytest.fixture
def purchase(shop: Shop) -> Purchase:
    """A purchase about to be made."""
    return Purchase(shop, token=uuid7(), began_at=datetime.now(tz=UTC).replace(microsecond=0))


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are given up after a fraction of a second, and retries within one call do not pause."""
    for name in ("READ_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(panel_client, name, TIMEOUT_SECONDS)
    monkeypatch.setattr(stripe_client, "READ_TIMEOUT", TIMEOUT_SECONDS)
    monkeypatch.setitem(OutsideSession.__init__.__kwdefaults__ or {}, "sleep", lambda _seconds: None)
    monkeypatch.setattr("stripe._http_client.HTTPClient._sleep_time_seconds", lambda *_args, **_options: 0)
    stripe_client._client.cache_clear()
    reset_limits()
