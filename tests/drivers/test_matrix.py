"""Each provider × each act of a server's life × each thing that goes wrong: it ends as it should, as one server.

Where a fault is armed, each call of the life fails once, whichever calls the driver makes: the next one goes through.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.cache import cache
from requests.adapters import HTTPAdapter

from catalog.models import Plan
from sandbox.client import Sandbox
from servers import convergence, inventory, resizing, services
from servers.capacity import Size
from servers.convergence.context import attempts_of, spec_of
from servers.drivers import registry
from servers.drivers.abilities import UsageFigures
from servers.drivers.base import PowerAction, PowerState, RemoteState
from servers.drivers.inventory import Inventory
from servers.drivers.self_service import InstallsAgain
from servers.live import power
from servers.models import (
    Blueprint,
    HoldKind,
    Provider,
    Server,
    ServerStatus,
    SyncState,
)
from servers.self_service import operations
from tests.drivers.shops import SHOPS, sold, work
from tests.faults import forks
from tests.servers.builders import (
    AT,
    assign_regions,
    make_server,
)
from tests.servers.test_capacity import assert_counters_agree
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
ACT_TAKES = timedelta(hours=3)  # by the story's clock: longer than any wait for what was lost
LEASED = timedelta(minutes=1)  # longer than the lease of a killed worker
TIMEOUT_SECONDS = 0.3
WRITES = ("POST /", "PUT /", "PATCH /", "DELETE /")
FAULTS: dict[str, list[dict[str, Any]]] = {
    "request lost": [{"match": "*", "kind": "drop"}],
    "answer lost": [{"match": "*", "kind": "lose_answer"}],
    "429": [{"match": "*", "kind": "status", "status": 429, "headers": {"Retry-After": "1"}}],
    "500": [{"match": "*", "kind": "status", "status": 500}],
    "500 and yet done": [{"match": each, "kind": "late_status", "status": 500} for each in WRITES],
    # Given up by us, and carried out afterwards; what is only read is like an answer that was lost.
    "slow": [{"match": each, "kind": "delay", "seconds": 2 * TIMEOUT_SECONDS} for each in WRITES],
}


@dataclass
class Life:
    """One server at one provider. An act asks for something, and gives what must hold when all work is done."""

    provider: Provider
    larger_plan: Plan
    larger: Blueprint
    size: Size
    server: Server
    others: int  # servers that the provider had before

    def create(self, at: datetime) -> None:
        """Nothing is asked for: the order has made the row."""

    def suspend(self, at: datetime) -> None:
        """Staff hold it."""
        services.hold_servers(server_ids=[self.server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=at)

    def resume(self, at: datetime) -> None:
        """They lift the hold."""
        services.lift_holds(server_ids=[self.server.pk], kind=HoldKind.ABUSE, actor=None, at=at)

    def restart(self, at: datetime) -> None:
        """The customer restarts it."""
        power.request_power_action(server=self.server.reload(), action=PowerAction.RESTART, actor=None, at=at)

    def resize(self, at: datetime) -> None:
        """The customer changes to the larger plan, and the name."""
        new = resizing.NewSize(self.larger_plan, self.larger, self.size, databases=0, backups=0)
        assert resizing.resize_server(server_id=self.server.pk, new=new, actor=None, at=at)
        services.rename_server(server=self.server.reload(), name="Tower", actor=None, at=at)

    def reinstall(self, at: datetime) -> None:
        """The customer has it installed again."""
        driver = operations.driver_for(self.server)
        kind = "reinstall" if isinstance(driver, InstallsAgain) else "rebuild"
        operations.request(server=self.server.reload(), kind=kind, actor=None, at=at)

    def delete(self, at: datetime) -> None:
        """Its subscription has ended."""
        services.delete_servers(server_ids=[self.server.pk], actor=None, at=at)

    def assert_is(self, act: str) -> None:
        """What is here and what is at the provider agree with what was asked for."""
        driver, server = registry.driver_of(self.provider), self.server.reload()
        status, state = ENDS.get(act, (ServerStatus.RUNNING, RemoteState.READY))
        assert (server.status, server.failure) == (status, ""), act
        remote = driver.find(spec_of(server), attempts_of(server))
        assert (remote.state if remote else None) == state, act
        assert isinstance(driver, Inventory)
        assert len(list(driver.servers())) == self.others + (state is not None), act
        if remote:
            assert driver.differences(spec_of(server), remote) == frozenset(), act
        if isinstance(driver, UsageFigures) and state is RemoteState.READY:
            assert driver.usage(server.identifier).power_state in {PowerState.STARTING, PowerState.RUNNING}, act
        assert_counters_agree()


ENDS: dict[str, tuple[ServerStatus, RemoteState | None]] = {
    "suspend": (ServerStatus.SUSPENDED, RemoteState.SUSPENDED),
    "delete": (ServerStatus.DELETED, None),
}
ACTS = ("create", "suspend", "resume", "restart", "resize", "reinstall", "delete")


@pytest.fixture(params=SHOPS)
def life(request: pytest.FixtureRequest, sandbox: Sandbox) -> Life:
    """A server that was bought at this provider and that no worker has seen."""
    cache.clear()
    request.getfixturevalue(request.param)  # everything there takes no time
    shop = SHOPS[request.param]
    provider = shop.provider(sandbox)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assign_regions(provider)
    (plan, blueprint), larger = (
        sold(provider, *what) for what in ((shop.size, shop.built), (shop.larger, shop.rebuilt))
    )
    server = make_server(provider, plan=plan, blueprint=blueprint, size=shop.size, databases=0, backups=0)
    driver = registry.driver_of(provider)
    assert isinstance(driver, Inventory)
    return Life(provider, *larger, shop.larger, server, len(list(driver.servers())))


@pytest.fixture
def impatient(without_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are given up after a fraction of a second."""
    send = HTTPAdapter.send

    def send_soon(self: HTTPAdapter, request: Any, *args: Any, **options: Any) -> Any:
        is_ours = "_control" not in request.url
        try:
            return send(self, request, *args, **options | ({"timeout": (5, TIMEOUT_SECONDS)} if is_ours else {}))
        except requests.ReadTimeout:
            time.sleep(1.3 * TIMEOUT_SECONDS)  # of the story's clock it was half a minute, so it is carried out by now
            raise

    monkeypatch.setattr(HTTPAdapter, "send", send_soon)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", FAULTS)
def test_each_call_of_a_whole_life_fails_once(life: Life, sandbox: Sandbox, fault: str) -> None:
    for number, act in enumerate(ACTS):
        at = AT + number * ACT_TAKES
        for options in FAULTS[fault]:
            sandbox.arm(life.provider.kind, **options, is_each=True)
        getattr(life, act)(at)

        work(at)

        assert sum(each["hits"] for each in sandbox.faults())
        sandbox.clear_faults()
        life.assert_is(act)


def test_every_act_is_done_by_two_workers_at_once(life: Life, sandbox: Sandbox) -> None:
    sandbox.arm(life.provider.kind, "*", "delay", seconds=0.01, times=0)
    for number, act in enumerate(ACTS):
        at = AT + number * ACT_TAKES
        getattr(life, act)(at)

        def both(at: datetime = at) -> None:
            convergence.converge(server_id=life.server.pk, at=at)
            work(at)

        assert run_at_once(both, times=2) == []
        work(at)

        life.assert_is(act)


@pytest.mark.faults
def test_the_worker_is_killed_once_at_each_point_of_a_whole_life(life: Life, tmp_path: Path) -> None:
    kills = 0
    for number, act in enumerate(ACTS):
        at = AT + number * ACT_TAKES
        getattr(life, act)(at)
        killed_at = tmp_path / act
        killed_at.touch()
        while forks.run_and_kill_at_new_point(killed_at, partial(work, at + kills * LEASED)).was_killed:
            kills += 1
        life.assert_is(act)
    assert kills > 20
