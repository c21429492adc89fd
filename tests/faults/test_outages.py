"""Stripe and the panel misbehave at each call of a purchase, and it still ends in one of everything.

Real timeouts are 20 to 40 s for the panel and 30 s for Stripe; here they are a fraction of a second, and a delay is
twice as long. Pauses between retries within one call are left out. Nothing else is shortened: back-off, leases and
waiting for lost answers go by the story's clock.
"""

from itertools import cycle
from typing import Any

import pytest

from tests.faults.conftest import TIMEOUT_SECONDS
from tests.faults.purchase import Purchase, assert_one_of_everything

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("short_timeouts")]
RETRIES = 3  # a read is tried three times within one call, so this many faults make one call fail
CONFLICT = "conflict"  # Stripe's answer while the key is in use; a panel's means that staff must look
OUTAGES: dict[str, dict[str, Any]] = {
    "answer lost": {"kind": "lose_answer"},
    "connection dropped": {"kind": "drop"},
    "carried out after our timeout": {"kind": "delay", "seconds": 2 * TIMEOUT_SECONDS},
    "no answer": {"kind": "hang", "seconds": 2 * TIMEOUT_SECONDS},
    "too many requests": {"kind": "status", "status": 429, "headers": {"Retry-After": "7"}},
    CONFLICT: {"kind": "status", "status": 409},
    "error": {"kind": "status", "status": 500},
    "bad gateway": {"kind": "status", "status": 502},
    "a proxy's page": {"kind": "html"},
    "ten megabytes": {"kind": "huge"},
}
ALIKE = ("error", "bad gateway", "a proxy's page", "ten megabytes")  # the answer says nothing of what was done
PANEL_CALLS = [
    "GET /api/application/servers/external/*",
    "GET /api/application/users/external/*",
    "POST /api/application/users",
    "POST /api/application/servers",
    "GET /api/client/servers/*",
]
STRIPE_CALLS = ["POST /v1/customers", "POST /v1/checkout/sessions", "GET /v1/checkout/sessions/*"]


def _each(calls: list[str]) -> list[tuple[str, str]]:
    """Every call with every outage; of answers that are read alike, each call gets one, by turns."""
    others = [(call, name) for call in calls for name in OUTAGES if name not in {*ALIKE, CONFLICT}]
    return others + list(zip(calls, cycle(ALIKE), strict=False))


@pytest.mark.parametrize(("call", "outage"), _each(PANEL_CALLS))
def test_the_panel_misbehaves(purchase: Purchase, call: str, outage: str) -> None:
    _misbehave(purchase, "pterodactyl", call, outage)


@pytest.mark.parametrize(("call", "outage"), _each(STRIPE_CALLS) + [(call, CONFLICT) for call in STRIPE_CALLS])
def test_stripe_misbehaves(purchase: Purchase, call: str, outage: str) -> None:
    _misbehave(purchase, "stripe", call, outage)


def _misbehave(purchase: Purchase, service: str, call: str, outage: str) -> None:
    sandbox = purchase.shop.sandbox
    sandbox.arm(service, call, times=RETRIES, **OUTAGES[outage])

    purchase.run()

    assert sandbox.faults()[0]["hits"] >= 1
    assert_one_of_everything(purchase.shop)
