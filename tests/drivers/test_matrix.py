"""Each provider × each act of a server's life × each thing that goes wrong: it ends as it should, as one server.

Where a fault is armed, each call of the life fails once, whichever calls the driver makes: the next one goes through.
An act that a provider cannot do is left out of its lives.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.cache import cache
from requests.adapters import HTTPAdapter

from catalog.models import Plan
from core import site_settings, tenancy
from core.outside import limits
from sandbox.client import Sandbox
from servers import convergence, handover, inventory, resizing, services
from servers.capacity import Size
from servers.convergence.context import attempts_of, spec_of
from servers.drivers import registry
from servers.drivers.abilities import Accounts, FinalBackup, UsageFigures
from servers.drivers.base import PowerAction, PowerState, RemoteState
from servers.drivers.inventory import Inventory
from servers.drivers.self_service import Backups, Files, InstallsAgain
from servers.live import power
from servers.models import (
    Blueprint,
    HoldKind,
    Operation,
    OperationOutcome,
    Provider,
    Server,
    ServerStatus,
    SyncState,
)
from servers.self_service import operations
from tests.drivers.shops import SHOPS, sold, work
from tests.faults import forks
from tests.servers.actions import control
from tests.servers.builders import AT, assign_regions, make_server, make_user, organization_of
from tests.servers.test_capacity import assert_counters_agree
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
ASKED_EVERY = timedelta(minutes=30)
ASKED_IN_OUTAGE = 5
ACT_TAKES = timedelta(hours=8)  # by the story's clock: longer than any wait for what was lost
LEASED = timedelta(minutes=1)  # longer than the lease of a killed worker
WRITES = ("POST /", "PUT /", "PATCH /", "DELETE /")
FAULTS: dict[str, list[dict[str, Any]]] = {
    "request lost": [{"match": "*", "kind": "drop"}],
    "answer lost": [{"match": "*", "kind": "lose_answer"}],
    "429": [{"match": "*", "kind": "status", "status": 429, "headers": {"Retry-After": "1"}}],
    "500": [{"match": "*", "kind": "status", "status": 500}],
    # From a proxy: a panel's own 500 says that nothing was stored.
    "502 and yet done": [{"match": each, "kind": "late_status", "status": 502} for each in WRITES],
}
NOTE = {"text": "Remember", "version": "", "is_crlf": False}


@dataclass
class Life:
    """One server at one provider. An act asks for something, and gives what must hold when all work is done."""

    provider: Provider
    larger_plan: Plan
    larger: Blueprint
    size: Size
    server: Server
    others: int  # servers that the provider had before
    asked: list[Operation] = field(default_factory=list)  # what is done inside the server
    backups: list[str] = field(default_factory=list)  # that it had after the act before

    @property
    def driver(self) -> Any:
        """The provider's driver."""
        return registry.driver_of(self.provider)

    @property
    def acts(self) -> list[str]:
        """All that can be done with the server there, in an order in which it can."""
        return [name for name, ability in ACTS.items() if ability is None or isinstance(self.driver, ability)]

    def operate(self, at: datetime, kind: str, target: str = "", **entered: Any) -> None:
        """The customer asks for something inside the server."""
        named: dict[str, Any] = {"target": target, "actor": None, "at": at}
        self.asked.append(operations.request(server=self.server.reload(), kind=kind, **named, **entered))

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
        backups = self.server.backups_limit
        new = resizing.NewSize(self.larger_plan, self.larger, self.size, databases=0, backups=backups)
        assert resizing.resize_server(server_id=self.server.pk, new=new, actor=None, at=at)
        services.rename_server(server=self.server.reload(), name="Tower", actor=None, at=at)

    def back_up(self, at: datetime) -> None:
        """The customer makes a backup."""
        self.operate(at, "backup.create", arguments={"name": "before"})

    def write_file(self, at: datetime) -> None:
        """The customer writes a file that was not there."""
        self.operate(at, "file.write", "note.txt", content=NOTE)

    def delete_file(self, at: datetime) -> None:
        """The customer deletes it."""
        self.operate(at, "file.delete", arguments={"names": ["note.txt"]})

    def restore(self, at: datetime) -> None:
        """The customer restores the backup."""
        self.operate(at, "backup.restore", *self.backups)

    def delete_backup(self, at: datetime) -> None:
        """The customer deletes it."""
        self.operate(at, "backup.delete", *self.backups)

    def transfer(self, at: datetime) -> None:
        """The customer gives it to another, in whose account there it is from then on."""
        owner = make_user()
        with tenancy.as_worker():
            [server] = services.lock_servers([self.server.pk])
            handover.hand_over(server=server, organization=organization_of(owner), owner=owner, at=at)

    def reinstall(self, at: datetime) -> None:
        """The customer has it installed again."""
        self.operate(at, "reinstall" if isinstance(self.driver, InstallsAgain) else "rebuild")

    def delete(self, at: datetime) -> None:
        """Its subscription has ended."""
        services.delete_servers(server_ids=[self.server.pk], actor=None, at=at)

    def assert_is(self, act: str) -> None:
        """What is here and what is at the provider agree with what was asked for."""
        driver, server = self.driver, self.server.reload()
        status, state = ENDS.get(act, (ServerStatus.RUNNING, RemoteState.READY))
        assert (server.status, server.failure) == (status, ""), act
        remote = driver.find(spec_of(server), attempts_of(server))
        assert (remote.state if remote else None) == state, act
        assert len(list(driver.servers())) == self.others + (state is not None), act
        if remote:
            assert driver.differences(spec_of(server), remote) == frozenset(), act
        if isinstance(driver, UsageFigures) and state is RemoteState.READY:
            assert driver.usage(server.identifier).power_state in {PowerState.STARTING, PowerState.RUNNING}, act
        if ACTS[act] is Backups:
            self.backups = [each.ref for each in driver.backups(server.identifier)]
        if act in KEPT and act in self.acts:
            assert KEPT[act](self), act
        self.asked.clear()
        assert_counters_agree()


ENDS: dict[str, tuple[ServerStatus, RemoteState | None]] = {
    "suspend": (ServerStatus.SUSPENDED, RemoteState.SUSPENDED),
    "delete": (ServerStatus.DELETED, None),
}
KEPT: dict[str, Callable[[Life], bool]] = {  # what else must hold after an act
    "back_up": lambda life: len(life.backups) == 1,
    "write_file": lambda life: life.driver.read_file(life.server.reload().identifier, "note.txt") == b"Remember",
    "delete_file": lambda life: "note.txt" not in names_in(life),
    "delete_backup": lambda life: not life.backups,
    "delete": lambda life: life.server.reload().is_backed_up == isinstance(life.driver, FinalBackup),
}
# In the order in which one follows the other; with what the driver must be able to do.
ACTS: dict[str, Any] = {
    **dict.fromkeys(("create", "suspend", "resume", "restart")),
    "back_up": Backups,
    "write_file": Files,
    "delete_file": Files,
    "restore": Backups,
    "delete_backup": Backups,
    "transfer": Accounts,
    "resize": None,
    "reinstall": None,
    "delete": None,
}


def names_in(life: Life) -> set[str]:
    """The files in the server's own folder."""
    return {each.ref for each in life.driver.folder(life.server.reload().identifier, "")}


@pytest.fixture(params=SHOPS)
def life(request: pytest.FixtureRequest, sandbox: Sandbox) -> Life:
    """A server that was bought at this provider and that no worker has seen."""
    cache.clear()
    request.getfixturevalue(request.param)  # everything there takes no time
    shop = SHOPS[request.param]
    control(sandbox, "settings", {"backup_seconds": 0, "restore_seconds": 0, "backup_throttle_limit": 100})
    site_settings.set_value("servers.keep_final_backup", value=True)
    provider = shop.provider(sandbox)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assign_regions(provider)
    (plan, blueprint), larger = (
        sold(provider, *what) for what in ((shop.size, shop.built), (shop.larger, shop.rebuilt))
    )
    driver = registry.driver_of(provider)
    assert isinstance(driver, Inventory)
    backups = 2 if isinstance(driver, Backups) else 0
    server = make_server(provider, plan=plan, blueprint=blueprint, size=shop.size, databases=0, backups=backups)
    return Life(provider, *larger, shop.larger, server, len(list(driver.servers())))


class LateWrites:
    """Writes that we give up before they are carried out: each the first time, whichever the driver makes.

    They arrive before we look again, which by the story's clock is seconds later; what is only read is like an answer
    that was lost.
    """

    def __init__(self, send: Callable[..., Any]) -> None:
        self.send, self.late, self.held = send, set[tuple[str, str]](), list[Callable[[], Any]]()

    def give_up(self, adapter: HTTPAdapter, request: Any, *args: Any, **options: Any) -> Any:
        """In place of sending it."""
        name = (request.method, request.url)
        if request.method == "GET" or "/_control/" in request.url or name in self.late:
            return self.send(adapter, request, *args, **options)
        self.late.add(name)
        self.held.append(partial(self.send, adapter, request, *args, **options))
        raise requests.ReadTimeout(request=request)

    def arrive(self) -> None:
        """What was given up is carried out."""
        for each in self.held:
            each()
        self.held.clear()


@pytest.fixture
def late_writes(without_pauses: None, monkeypatch: pytest.MonkeyPatch) -> LateWrites:
    """From now on."""
    late, reset_limits = LateWrites(HTTPAdapter.send), limits.reset_limits
    monkeypatch.setattr(HTTPAdapter, "send", lambda *args, **options: late.give_up(*args, **options))

    def arrive_and_reset() -> None:
        late.arrive()
        reset_limits()

    monkeypatch.setattr(limits, "reset_limits", arrive_and_reset)  # before each round of the workers
    return late


def work_until_done(life: Life, act: str, at: datetime, *, by: Callable[[datetime], None] = work) -> None:
    """The workers do it. A customer who reads that it was not done, or may not be, asks again."""
    by(at)
    for asked in range(1, 16):
        outcome = life.asked[-1].reload().outcome if life.asked else OperationOutcome.DONE
        if outcome == OperationOutcome.DONE:
            return
        assert outcome in {OperationOutcome.NO_ANSWER, OperationOutcome.NOT_SENT}, act
        getattr(life, act)(at + asked * ASKED_EVERY)
        by(at + asked * ASKED_EVERY)
    pytest.fail(f"{act} is never done")


def test_at_every_kind_of_provider_servers_live() -> None:
    assert set(SHOPS) == set(registry.facts())


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("fault", FAULTS)
def test_each_call_of_a_whole_life_fails_once(life: Life, sandbox: Sandbox, fault: str) -> None:
    for number, act in enumerate(life.acts):
        at = AT + number * ACT_TAKES
        for options in FAULTS[fault]:
            sandbox.arm(life.provider.kind, **options, is_each=True)
        getattr(life, act)(at)
        asked_at: list[datetime] = []

        def worked(at: datetime, asked_at: list[datetime] = asked_at) -> None:
            asked_at.append(at)
            if len(asked_at) == ASKED_IN_OUTAGE:  # each makes another container, whose calls fail anew
                sandbox.clear_faults()
            work(at)

        work_until_done(life, act, at, by=worked)

        assert len(asked_at) >= ASKED_IN_OUTAGE or sum(each["hits"] for each in sandbox.faults())
        sandbox.clear_faults()
        life.assert_is(act)


def test_each_write_of_a_whole_life_is_given_up_once_and_carried_out_later(life: Life, late_writes: LateWrites) -> None:
    for number, act in enumerate(life.acts):
        at = AT + number * ACT_TAKES
        late_writes.late.clear()
        getattr(life, act)(at)

        work_until_done(life, act, at)

        assert late_writes.late
        assert not late_writes.held, act
        life.assert_is(act)


def test_every_act_is_done_by_two_workers_at_once(life: Life, sandbox: Sandbox) -> None:
    sandbox.arm(life.provider.kind, "*", "delay", seconds=0.01, times=0)
    for number, act in enumerate(life.acts):
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
    for number, act in enumerate(life.acts):
        killed_at = tmp_path / act
        killed_at.touch()

        def worked(at: datetime, killed_at: Path = killed_at) -> None:
            nonlocal kills
            while forks.run_and_kill_at_new_point(killed_at, partial(work, at)).was_killed:
                kills, at = kills + 1, at + LEASED

        at = AT + number * ACT_TAKES
        getattr(life, act)(at)
        work_until_done(life, act, at, by=worked)
        life.assert_is(act)
    assert kills > 20
