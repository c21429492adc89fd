"""Each start of a Hytale server gets a game session of an account, and there are no more than the account may have."""

from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace
from typing import Any

import pytest
from django.template.loader import render_to_string

from core import outside
from core.models import WorkState
from sandbox.client import Sandbox
from servers import builds, events
from servers.drivers import registry
from servers.drivers.base import PowerAction, PowerState
from servers.drivers.self_service import RemoteStartup, RemoteVariable
from servers.hytale import sessions
from servers.hytale.variables import IDENTITY, SESSION
from servers.live.status import live_status
from servers.live.usage import UsageHistory
from servers.models import (
    EggVariable,
    HytaleAccount,
    HytaleSession,
    PowerOutcome,
    PowerTask,
    Server,
    SessionStatus,
    UsageSample,
)
from servers.self_service.kinds import LISTINGS, Call
from tests.servers.hytale import BASES, FakePanel, Hytale, make_stopped_servers
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
NEW, END = "POST /game-session/new", "DELETE /game-session"
START, STOP, RESTART = PowerAction.START, PowerAction.STOP, PowerAction.RESTART


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> FakePanel:
    """The driver of every provider."""
    driver = FakePanel()
    monkeypatch.setattr(registry, "driver_of", lambda _provider: driver)
    return driver


@pytest.fixture
def hytale(sandbox: Sandbox, settings: Any) -> Hytale:
    for name in BASES:
        setattr(settings, name, sandbox.hytale_url)
    return Hytale(sandbox)


def make_running(hytale: Hytale) -> Server:
    """A server that was started with a session."""
    (server,) = make_stopped_servers(1)
    assert hytale.power(server, START).outcome == PowerOutcome.SENT
    return server.reload()


def test_a_restart_has_a_new_session_and_ends_the_one_before(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    (before,) = hytale.sessions()
    hytale.later(minutes=30)

    hytale.power(server, RESTART)
    assert len(hytale.sessions()) == 2
    hytale.run()

    (after,) = hytale.sessions()
    assert after != before
    assert panel.values[server.ref][SESSION] == after


def test_a_start_of_a_server_that_runs_takes_no_other_slot(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in(slots=2)
    server = make_running(hytale)
    (token,) = hytale.sessions()
    states = [PowerState.RUNNING, PowerState.STARTING, PowerState.OFF]
    panel.usage = lambda _identifier: SimpleNamespace(power_state=states.pop(0))  # type: ignore[attr-defined]

    for _ in range(2):
        assert hytale.power(server, START).outcome == PowerOutcome.SENT
    assert list(hytale.sessions()) == [token]
    assert panel.sent == [(server.identifier, START)] * 3

    assert hytale.power(server, START).outcome == PowerOutcome.SENT  # it had stopped by itself
    assert len(hytale.sessions()) == 2


def test_when_every_slot_is_taken_the_customer_reads_when_to_try_again(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in(slots=1)
    first, second = make_stopped_servers(2)
    hytale.power(first, START)
    asked = hytale.asked(NEW)

    task = hytale.power(second, START)

    assert (task.outcome, hytale.asked(NEW)) == (PowerOutcome.NO_SLOT, asked)
    assert task.retry_at == HytaleSession.objects.get().slot_until
    assert panel.sent == [(first.identifier, START)]
    shown = live_status(second.reload(), UsageHistory(), task, at=hytale.at)
    notice = render_to_string("servers/power_notice.html", {"live_status": shown})
    for text in ("The server was not started.", "As many of this game", "Try again at"):
        assert text in notice
    hytale.power(first, STOP)
    hytale.run()
    assert hytale.power(second, START).outcome == PowerOutcome.SENT


def test_a_restart_needs_no_slot_beside_its_own(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sandbox.hytale_change("accounts/host", limit=1)
    hytale.sign_in(slots=1)
    server = make_running(hytale)

    assert hytale.power(server, RESTART).outcome == PowerOutcome.SENT

    assert [panel.values[server.ref][SESSION]] == list(hytale.sessions())


def test_the_account_with_most_free_slots_is_taken_and_one_that_is_not_ready_never(
    hytale: Hytale, panel: FakePanel
) -> None:
    for name in ("two", "three"):
        hytale.sandbox.hytale_change(f"accounts/{name}")
    small, large = hytale.sign_in("Small", slots=1), hytale.sign_in("Large", of="two", slots=3)
    idle = hytale.sign_in("Idle", of="three", is_active=False, slots=50)

    outcomes = [hytale.power(server, START).outcome for server in make_stopped_servers(4)]

    used = {account: HytaleSession.objects.filter(account=account).count() for account in (small, large, idle)}
    assert used == {small: 1, large: 3, idle: 0}
    assert outcomes == [PowerOutcome.SENT] * 4


def test_many_starts_at_once_take_no_more_slots_than_there_are(
    hytale: Hytale, panel: FakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    hytale.sign_in(slots=2)
    waiting, all_of_them = make_stopped_servers(5), Barrier(5)

    def wait_for_all(*_: Any, **__: Any) -> None:
        with suppress(BrokenBarrierError):
            all_of_them.wait(0.5)  # without a lock each has counted by now

    monkeypatch.setattr(sessions, "_tell_of_filling", wait_for_all)

    errors = run_at_once(lambda: sessions._take_slot(waiting.pop(), at=hytale.at), times=5)

    assert [type(error) for error in errors] == [sessions.NoSession] * 3
    assert HytaleSession.objects.count() == 2


def test_a_lost_answer_takes_its_slot_for_an_hour_and_is_not_repeated_for_long(
    hytale: Hytale, panel: FakePanel
) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    hytale.power(server, STOP)
    hytale.run()
    hytale.sandbox.arm("hytale", NEW, "lose_answer", times=0)
    asked = hytale.asked(NEW)

    for _ in range(4):
        hytale.power(server, START)
        hytale.later(seconds=20)

    task = PowerTask.objects.get()
    assert (task.outcome, hytale.asked(NEW)) == (PowerOutcome.TOO_OFTEN, asked + 2)
    assert len(hytale.sessions()) == 2  # of which nobody knows the tokens
    assert HytaleSession.objects.filter(status=SessionStatus.REQUESTED, ended_at=None).count() == 2
    hytale.sandbox.clear_faults()
    hytale.later(hours=1)
    hytale.run()
    assert not HytaleSession.objects.filter(ended_at=None).exists()
    assert hytale.power(server, START).outcome == PowerOutcome.SENT


def test_a_start_that_was_interrupted_uses_the_session_that_it_has(
    hytale: Hytale, panel: FakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    hytale.power(server, STOP)
    hytale.run()
    asked = hytale.asked(NEW)

    def lose_answer(*_: Any) -> None:
        raise outside.Unknown("the answer was lost")

    with monkeypatch.context() as losing:
        losing.setattr(panel, "set_hidden_variables", lose_answer)
        assert hytale.power(server, START).state == WorkState.QUEUED
    hytale.later(seconds=20)
    hytale.run(PowerTask)

    assert PowerTask.objects.get().outcome == PowerOutcome.SENT
    assert hytale.asked(NEW) == asked + 1


def test_a_server_starts_only_so_often_in_an_hour(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    outcomes = []
    for _ in range(6):
        hytale.later(minutes=1)
        outcomes.append(hytale.power(server, RESTART).outcome)

    assert outcomes == [PowerOutcome.SENT] * 5 + [PowerOutcome.TOO_OFTEN]
    hytale.later(hours=1)
    assert hytale.power(server, RESTART).outcome == PowerOutcome.SENT


def test_an_access_token_that_hytale_refuses_is_replaced_once(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    HytaleAccount.objects.update(access_token="at_of_another_time")

    assert hytale.power(server, RESTART).outcome == PowerOutcome.SENT

    hytale.sandbox.hytale_change("end-all")
    hytale.later(minutes=1)
    assert hytale.power(server, RESTART).outcome == PowerOutcome.NO_SIGN_IN
    assert HytaleAccount.objects.get().state == "needed"


@pytest.mark.parametrize("form", ["json", "text", "empty"])
def test_a_403_is_told_apart_by_what_we_know(hytale: Hytale, panel: FakePanel, form: str) -> None:
    hytale.sign_in(slots=5)
    server = make_running(hytale)
    hytale.power(server, STOP)
    hytale.run()
    hytale.sandbox.hytale_change("settings", errors=form)
    hytale.sandbox.hytale_change("accounts/host", limit=0)
    hytale.power(server, START)
    hytale.later(seconds=20)
    hytale.run(PowerTask)
    task = PowerTask.objects.get()
    assert (task.outcome, task.retry_at) == (PowerOutcome.NO_SLOT, HytaleAccount.objects.get().full_until)

    hytale.later(minutes=30)
    hytale.sandbox.hytale_change("accounts/host", profiles=[])
    assert hytale.power(server, START).outcome == PowerOutcome.NO_SIGN_IN
    account = HytaleAccount.objects.get()
    assert account.profile == ""
    assert "does not own the game" in account.problem
    assert not HytaleSession.objects.filter(ended_at=None).exists()


def test_a_session_lives_as_long_as_its_server_runs(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    for _ in range(4):
        (token,) = hytale.sessions()
        hytale.later(minutes=50)
        hytale.renew(token)
        hytale.run()
    assert HytaleSession.objects.get().status == SessionStatus.OPEN

    hytale.power(server, STOP)  # its first token ended long ago
    hytale.run()
    assert HytaleSession.objects.get().status == SessionStatus.LAPSING
    assert len(hytale.sessions()) == 1
    hytale.later(minutes=61)
    hytale.run()
    assert HytaleSession.objects.get().status == SessionStatus.ENDED
    assert hytale.sessions() == {}


def test_a_server_that_crashed_frees_its_slot_when_the_session_is_over(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    hytale.later(minutes=50)
    hytale.run()
    off = {"cpu_percent": 0, "memory_mib": 0, "disk_mib": 1, "received_bytes": 0, "sent_bytes": 0, "uptime_seconds": 0}
    owner = {"server": server, "organization": server.organization}

    for _ in range(7):
        hytale.later(minutes=10)
        UsageSample.objects.create(at=hytale.at, power_state="off", **off, **owner)
        hytale.run()

    assert HytaleSession.objects.get().status == SessionStatus.ENDED
    assert hytale.asked(END) == 0  # a panel that starts it again within the hour starts it with this session


def test_an_outage_of_hytale_starts_nothing_and_takes_no_slot(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    server = make_running(hytale)
    hytale.sandbox.arm("hytale", NEW, "status", status=503, times=0)

    task = hytale.power(server, RESTART)

    assert (task.state, task.outcome) == (WorkState.QUEUED, "")
    assert HytaleSession.objects.filter(ended_at=None).count() == 1
    hytale.later(minutes=3)
    hytale.run(PowerTask)
    assert PowerTask.objects.get().outcome == PowerOutcome.NOT_SENT


def test_an_egg_that_shows_the_tokens_is_not_sold_and_gets_none(hytale: Hytale, panel: FakePanel) -> None:
    hytale.sign_in()
    (server,) = make_stopped_servers(1)
    assert "shows customers the tokens" not in builds.problem_of(server.blueprint)
    EggVariable.objects.filter(env_variable=SESSION).update(is_user_viewable=True)

    assert "shows customers the tokens" in builds.problem_of(server.blueprint)
    assert hytale.power(server, START).outcome == PowerOutcome.SENT
    assert (panel.values, hytale.asked(NEW)) == ({}, 0)


def test_a_provider_that_hides_nothing_starts_servers_as_before(
    hytale: Hytale, panel: FakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "driver_of", lambda _: SimpleNamespace(send_power_action=panel.send_power_action))
    (server,) = make_stopped_servers(1)

    assert hytale.power(server, START).outcome == PowerOutcome.SENT


def test_staff_are_told_once_when_few_slots_are_left(hytale: Hytale, panel: FakePanel) -> None:
    account = hytale.sign_in(slots=5)
    told: list[Any] = []

    def receive(account_ids: Any, **_: Any) -> None:
        told.append(account_ids)

    events.hytale_slots_filling.connect(receive)
    for server in make_stopped_servers(5):
        hytale.power(server, START)

    assert told == [[account.pk]]


def test_the_page_of_settings_leaves_the_tokens_out_whatever_the_panel_shows() -> None:
    one: Any = {"name": "x", "description": "", "value": "st_secret", "is_editable": True, "rules": ""}
    shown = [RemoteVariable(env_variable=name, **one) for name in (SESSION, IDENTITY, "OTHER")]
    driver = SimpleNamespace(startup=lambda _identifier: RemoteStartup(shown, "java:25", {}))

    read = LISTINGS["startup"].read(driver, Call("1a2b3c4d"))

    assert [each["env_variable"] for each in read["variables"]] == ["OTHER"]
