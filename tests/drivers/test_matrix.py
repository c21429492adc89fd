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
from servers.drivers.self_service import Backups, Databases, RemoteTask, ReverseDns
from servers.live import power
from servers.models import (
    Blueprint,
    HoldKind,
    Operation,
    OperationOutcome,
    PowerOutcome,
    Provider,
    Server,
    ServerStatus,
    SyncState,
)
from servers.self_service import operations
from servers.self_service.kinds import OPERATIONS
from tests.drivers.adapters import CONTAINER_IMAGE
from tests.drivers.shops import SHOPS, sold, work
from tests.faults import forks
from tests.servers.actions import AN_HOUR, control
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
HOST_NAME = "castle.example.com"
# The call that restarts a server there, and the one that installs it, with what its body says.
RESTARTS: dict[str, tuple[str, dict[str, str]]] = {
    "pterodactyl": ("POST */power", {"signal": "restart"}),
    "digitalocean": ("POST */actions", {"type": "reboot"}),
    "linode": ("POST */reboot", {}),
    "virtfusion": ("POST */power/restart", {}),
    "docker": ("POST */restart", {}),
}
INSTALLS: dict[str, tuple[str, dict[str, str]]] = {
    "pterodactyl": ("POST */reinstall", {}),
    "digitalocean": ("POST */actions", {"type": "rebuild"}),
    "linode": ("POST */rebuild", {}),
    "virtfusion": ("POST */build", {}),
    "docker": ("POST */containers/create", {}),
}


@dataclass
class Life:
    """One server at one provider. An act asks for something, and gives what must hold when all work is done."""

    adapter: Any
    provider: Provider
    larger_plan: Plan
    larger: Blueprint
    size: Size
    server: Server
    others: int  # servers that the provider had before
    asked: list[Operation] = field(default_factory=list)  # what is done inside the server
    refs: dict[str, list[str]] = field(default_factory=dict)  # what it had after the act before: backups and more
    passwords: list[str] = field(default_factory=list)  # of its database, the last one last
    installs: int = 0  # before the act

    @property
    def driver(self) -> Any:
        """The provider's driver."""
        return registry.driver_of(self.provider)

    @property
    def identifier(self) -> str:
        """What names the server there."""
        return self.server.reload().identifier

    @property
    def acts(self) -> list[str]:
        """All that can be done with the server there, in an order in which it can."""
        here, impossible = self.driver, NOT_AT.get(self.provider.kind, {})
        return [name for name, ability in ACTS.items() if name not in impossible and isinstance(here, ability)]

    def do(self, act: str, at: datetime) -> None:
        """Ask for it. What is done inside the server its customer may ask for again."""
        if not self.asked:
            self.installs = self.arrived(INSTALLS)
        if act in INSIDE:
            kind, entered = INSIDE[act]
            named: dict[str, Any] = {"actor": None, "at": at}
            self.asked.append(operations.request(server=self.server.reload(), kind=kind, **named, **entered(self)))
        else:
            getattr(self, act)(at)

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

    def transfer(self, at: datetime) -> None:
        """The customer gives it to another, in whose account there it is from then on."""
        owner = make_user()
        with tenancy.as_worker():
            [server] = services.lock_servers([self.server.pk])
            handover.hand_over(server=server, organization=organization_of(owner), owner=owner, at=at)

    def resize(self, at: datetime) -> None:
        """The customer changes to the larger plan, and the name."""
        kept = {"databases": self.server.databases_limit, "backups": self.server.backups_limit}
        new = resizing.NewSize(self.larger_plan, self.larger, self.size, **kept)
        assert resizing.resize_server(server_id=self.server.pk, new=new, actor=None, at=at)
        services.rename_server(server=self.server.reload(), name="Tower", actor=None, at=at)

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
        self.look(act)
        if act in KEPT:
            assert KEPT[act](self), act
        self.asked.clear()
        assert_counters_agree()

    def look(self, act: str) -> None:
        """Read what the act was about, and what the next ones are about."""
        driver, kind = self.driver, INSIDE[act][0] if act in INSIDE else ""
        if kind.startswith("backup."):
            self.refs["backup"] = [each.ref for each in driver.backups(self.identifier)]
        elif kind.startswith("database."):
            self.refs["database"] = [each.ref for each in driver.databases(self.identifier)]
            self.passwords += [driver.database_password(self.identifier, each) for each in self.refs["database"]]
        elif kind.startswith("schedule."):
            self.refs["schedule"] = [each.ref for each in driver.schedules(self.identifier)]
        elif act == "create" and isinstance(driver, ReverseDns):
            self.refs["address"] = [each.address for each in driver.reverse_names(self.identifier)]
            self.adapter.settings(dns={HOST_NAME: self.refs["address"][0]})

    def arrived(self, calls: dict[str, tuple[str, dict[str, str]]]) -> int:
        """How many of these calls the provider has carried out, whatever its answers said."""
        match, body = calls[self.provider.kind]
        found = self.adapter.sandbox.requests(self.provider.kind, match)
        return sum(is_done(each) and body.items() <= (each["body"] or {}).items() for each in found)

    def is_installed_once(self) -> bool:
        """Whether it was installed again: once, unless its customer asked again.

        An engine begins the replacement of a container anew that was cut off.
        """
        count = self.arrived(INSTALLS) - self.installs
        return count == 1 or (count > 1 and (len(self.asked) > 1 or self.provider.kind == "docker"))


def is_done(request: dict[str, Any]) -> bool:
    """Whether the stand-in has carried it out."""
    if request["fault"] in {None, "delay"}:
        return request["status"] is not None and request["status"] < 400
    return request["fault"] in {"lose_answer", "late_status"}


ENDS: dict[str, tuple[ServerStatus, RemoteState | None]] = {
    "suspend": (ServerStatus.SUSPENDED, RemoteState.SUSPENDED),
    "delete": (ServerStatus.DELETED, None),
}
# What customers do inside the server: the kind, and what they enter.
INSIDE: dict[str, tuple[str, Callable[[Life], dict[str, Any]]]] = {
    "write_file": ("file.write", lambda _life: {"target": "note.txt", "content": NOTE}),
    "back_up": ("backup.create", lambda _life: {"arguments": {"name": "before"}}),
    "delete_file": ("file.delete", lambda _life: {"arguments": {"names": ["note.txt"]}}),
    "restore": ("backup.restore", lambda life: {"target": life.refs["backup"][0]}),
    "delete_backup": ("backup.delete", lambda life: {"target": life.refs["backup"][0]}),
    "make_database": ("database.create", lambda _life: {"arguments": {"name": "world", "remote": "%"}}),
    "rotate_password": ("database.rotate", lambda life: {"target": life.refs["database"][0]}),
    "delete_database": ("database.delete", lambda life: {"target": life.refs["database"][0]}),
    "make_schedule": (
        "schedule.create",
        lambda _life: {"arguments": {"name": "Save", "cron": "0 4 * * *", "action": "command"}, "content": "save-all"},
    ),
    "delete_schedule": ("schedule.delete", lambda life: {"target": life.refs["schedule"][0]}),
    "set_variable": ("startup.variable", lambda _life: {"target": "BUILD_NUMBER", "content": "77"}),
    "name_address": (
        "network.name",
        lambda life: {"target": life.refs["address"][0], "arguments": {"name": HOST_NAME}},
    ),
    "make_root_password": ("root_password", lambda _life: {}),
    "change_container": (
        "container.change",
        lambda _life: {"arguments": {"image": CONTAINER_IMAGE}, "content": {"own_environment": {"MODE": "hard"}}},
    ),
    "reinstall": ("reinstall", lambda _life: {}),
    "rebuild": ("rebuild", lambda _life: {}),
}
ABILITIES: dict[str, type] = {name: OPERATIONS[kind].ability for name, (kind, _entered) in INSIDE.items()}
INSTALLING = ("change_container", "reinstall", "rebuild")
# All acts, in an order in which one follows the other; with what the driver must be able to do.
ACTS: dict[str, type] = {
    **dict.fromkeys(("create", "suspend", "resume", "restart"), object),
    **{name: ability for name, ability in ABILITIES.items() if name not in INSTALLING},
    "transfer": Accounts,
    "resize": object,
    **{name: ABILITIES[name] for name in INSTALLING},
    "delete": object,
}
# Of these a worker comes to the same points as of the other operations.
ALIKE = {
    *("make_database", "rotate_password", "delete_database", "make_schedule", "delete_schedule", "set_variable"),
    *("name_address", "make_root_password", "change_container"),
}
NOT_AT: dict[str, dict[str, str]] = {
    "digitalocean": {"change_container": "it is a machine"},
    "linode": {"change_container": "it is a machine", "make_root_password": "only while it is off: test_machines.py"},
    "virtfusion": {"change_container": "it is a machine"},
}
KEPT: dict[str, Callable[[Life], bool]] = {  # what else must hold after an act
    "restart": lambda life: life.arrived(RESTARTS) >= (life.server.reload().power_task.outcome == PowerOutcome.SENT),
    "write_file": lambda life: life.driver.read_file(life.identifier, "note.txt") == b"Remember",
    "back_up": lambda life: len(life.refs["backup"]) == 1,
    "delete_file": lambda life: "note.txt" not in {each.ref for each in life.driver.folder(life.identifier, "")},
    "restore": lambda life: life.driver.read_file(life.identifier, "note.txt") == b"Remember",
    "delete_backup": lambda life: not life.refs["backup"],
    "make_database": lambda life: len(life.refs["database"]) == 1,
    "rotate_password": lambda life: len(set(life.passwords)) == 2,
    "delete_database": lambda life: not life.refs["database"],
    "make_schedule": lambda life: (
        [each.tasks for each in life.driver.schedules(life.identifier)] == [[RemoteTask("command", "save-all")]]
    ),
    "delete_schedule": lambda life: not life.refs["schedule"],
    "set_variable": lambda life: (
        "77" in {each.value for each in life.driver.startup(life.identifier).variables}
        and life.server.variables.get().value == "77"
    ),
    "name_address": lambda life: HOST_NAME in {each.name for each in life.driver.reverse_names(life.identifier)},
    "make_root_password": lambda life: (
        life.server.reload().root_password
        in {each.get("password") for each in life.adapter.sandbox.virtfusion_state()["servers"]}
    ),
    "change_container": lambda life: (
        life.is_installed_once() and life.server.reload().build["own_environment"] == {"MODE": "hard"}
    ),
    "reinstall": Life.is_installed_once,
    "rebuild": Life.is_installed_once,
    "delete": lambda life: life.server.reload().is_backed_up == isinstance(life.driver, FinalBackup),
}
A_LINK = "it gives a link, and changes nothing"
SETS = "one call that sets what it is given, as `startup.variable`"
LOOKED_FOR = "after a lost answer it is looked for in a list, as `backup.create`"
NOT_SEEN = "nobody can see whether it was done, and it is not sent again, as `backup.restore`"
LEFT_OUT = {
    **dict.fromkeys(("backup.download", "file.download", "file.upload", "rescue.open", "console.open"), A_LINK),
    "database.password": "it reads a password, and changes nothing",
    **dict.fromkeys(("backup.lock", "startup.image", "schedule.switch", "network.note", "file.folder"), SETS),
    **dict.fromkeys(("file.move", "file.copy", "file.compress"), LOOKED_FOR),
    **dict.fromkeys(("file.extract", "schedule.run", "console.command"), NOT_SEEN),
}


@pytest.fixture(params=SHOPS)
def life(request: pytest.FixtureRequest, sandbox: Sandbox) -> Life:
    """A server that was bought at this provider and that no worker has seen."""
    cache.clear()
    adapter = request.getfixturevalue(request.param)  # everything there takes no time
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
    inside: dict[str, Any] = {
        "databases": int(isinstance(driver, Databases)),
        "backups": 2 * isinstance(driver, Backups),
    }
    server = make_server(provider, plan=plan, blueprint=blueprint, size=shop.size, **inside)
    return Life(adapter, provider, *larger, shop.larger, server, len(list(driver.servers())))


class LateWrites:
    """Writes that we give up before they are carried out: each the first time, whichever the driver makes.

    They arrive when the workers have looked `looks` times in vain: at first before they look again, which by the
    story's clock is seconds later. What is only read is like an answer that was lost.
    """

    def __init__(self, send: Callable[..., Any]) -> None:
        self.send, self.late, self.looks, self.round = send, set[tuple[str, str]](), 0, 0
        self.held: list[tuple[int, Callable[[], Any]]] = []  # with the round of the workers that gave them up

    def give_up(self, adapter: HTTPAdapter, request: Any, *args: Any, **options: Any) -> Any:
        """In place of sending it."""
        name = (request.method, request.url)
        if request.method == "GET" or "/_control/" in request.url or name in self.late:
            return self.send(adapter, request, *args, **options)
        self.late.add(name)
        self.held.append((self.round, partial(self.send, adapter, request, *args, **options)))
        raise requests.ReadTimeout(request=request)

    def begin_round(self) -> None:
        """The workers begin again: what they have looked for so often is carried out before."""
        self.round += 1
        self.arrive(self.round - self.looks)

    def arrive(self, before: int) -> None:
        """What was given up before that round is carried out."""
        due = [write for number, write in self.held if number < before]
        self.held = [each for each in self.held if each[0] >= before]
        for write in due:
            write()


@pytest.fixture
def late_writes(without_pauses: None, monkeypatch: pytest.MonkeyPatch) -> LateWrites:
    """From now on."""
    late, reset_limits = LateWrites(HTTPAdapter.send), limits.reset_limits
    monkeypatch.setattr(HTTPAdapter, "send", lambda *args, **options: late.give_up(*args, **options))

    def begin_and_reset() -> None:
        late.begin_round()
        reset_limits()

    monkeypatch.setattr(limits, "reset_limits", begin_and_reset)  # before each round of the workers
    return late


def work_until_done(life: Life, act: str, at: datetime, *, by: Callable[[datetime], None] = work) -> None:
    """The workers do it. A customer who reads that it was not done, or may not be, asks again."""
    by(at)
    for asked in range(1, 16):
        outcome = life.asked[-1].reload().outcome if life.asked else OperationOutcome.DONE
        if outcome == OperationOutcome.DONE:
            return
        assert outcome in {OperationOutcome.NO_ANSWER, OperationOutcome.NOT_SENT}, act
        life.do(act, at + asked * ASKED_EVERY)
        by(at + asked * ASKED_EVERY)
    pytest.fail(f"{act} is never done")


def test_at_every_kind_of_provider_servers_live() -> None:
    assert set(SHOPS) == set(registry.facts())


def test_every_act_of_a_customer_is_in_the_lives_or_left_out_for_a_reason() -> None:
    lived = {kind for kind, _entered in INSIDE.values()}
    assert lived | set(LEFT_OUT) == set(OPERATIONS)
    assert not lived & set(LEFT_OUT)


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("fault", FAULTS)
def test_each_call_of_a_whole_life_fails_once(life: Life, sandbox: Sandbox, fault: str) -> None:
    for number, act in enumerate(life.acts):
        at = AT + number * ACT_TAKES
        for options in FAULTS[fault]:
            sandbox.arm(life.provider.kind, **options, is_each=True)
        life.do(act, at)
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
        life.do(act, at)

        work_until_done(life, act, at)

        assert late_writes.late
        assert not late_writes.held, act
        life.assert_is(act)


def test_each_write_of_a_whole_life_is_carried_out_after_it_was_looked_for_in_vain(
    life: Life, late_writes: LateWrites
) -> None:
    """Only of what workers do by themselves: whoever asks for something again reads before that it may be done."""
    late_writes.looks = 1
    for number, act in enumerate(each for each in life.acts if each not in INSIDE):
        at = AT + number * ACT_TAKES
        late_writes.late.clear()
        life.do(act, at)
        work(at)
        at += AN_HOUR
        while late_writes.held:  # nobody looks for it any more, until the next regular check
            late_writes.arrive(late_writes.round + 1)
            at += ASKED_EVERY
            services.request_convergence(server_ids=[life.server.pk], at=at)
            work(at)

        assert late_writes.late
        life.assert_is(act)


def test_every_act_is_done_by_two_workers_at_once(life: Life, sandbox: Sandbox) -> None:
    sandbox.arm(life.provider.kind, "*", "delay", seconds=0.01, times=0)
    for number, act in enumerate(life.acts):
        at = AT + number * ACT_TAKES
        life.do(act, at)

        def both(at: datetime = at) -> None:
            convergence.converge(server_id=life.server.pk, at=at)
            work(at)

        assert run_at_once(both, times=2) == []
        work(at)

        life.assert_is(act)
    assert life.arrived(RESTARTS) == 1


@pytest.mark.faults
def test_the_worker_is_killed_once_at_each_point_of_a_whole_life(life: Life, tmp_path: Path) -> None:
    kills = 0
    for number, act in enumerate(each for each in life.acts if each not in ALIKE):
        killed_at = tmp_path / act
        killed_at.touch()

        def worked(at: datetime, killed_at: Path = killed_at) -> None:
            nonlocal kills
            while forks.run_and_kill_at_new_point(killed_at, partial(work, at)).was_killed:
                kills, at = kills + 1, at + LEASED

        at = AT + number * ACT_TAKES
        life.do(act, at)
        work_until_done(life, act, at, by=worked)
        life.assert_is(act)
    assert kills > 20
