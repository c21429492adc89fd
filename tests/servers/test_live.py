"""A server's figures and its power: a worker asks the panel, and the page reads what the worker wrote."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from core import work
from core.models import AuditEntry, WorkState
from core.models.audit import Outcome
from sandbox.client import Sandbox
from servers import services
from servers.drivers.base import PowerAction
from servers.drivers.pterodactyl.driver import PterodactylDriverWithClientKey
from servers.live import power, usage
from servers.models import (
    HoldKind,
    PowerOutcome,
    PowerStatus,
    PowerTask,
    Provider,
    Server,
    ServerStatus,
    UsageSample,
    UsageTask,
)
from tests.builders import make_user
from tests.servers.actions import make_running, panel_servers, run_until_quiet
from tests.servers.builders import AT, make_server

SECOND = timedelta(seconds=1)
LIVE = (PowerTask, UsageTask)


def page_of(server: Server) -> str:
    client = Client()
    client.force_login(server.owner)
    return str(client.get(reverse("servers:detail", args=[server.pk])).content.decode())


def request(server: Server, action: PowerAction = PowerAction.STOP, at: object = AT) -> None:
    power.request_power_action(server=server, action=action, actor=server.owner, at=at)  # type: ignore[arg-type]


def outcome_of(server: Server) -> tuple[str, str]:
    task = PowerTask.objects.get(server=server)
    return task.state, task.outcome


def test_a_server_is_sampled_often_as_long_as_somebody_looks_at_it(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    panel.advance(100)
    usage.watch(server, at=AT)

    for seconds in range(0, 120, 10):
        work.run_due(at=AT + seconds * SECOND, models=LIVE)

    history = usage.usage_of(server, at=AT + 60 * SECOND)
    assert [sample.at for sample in history.samples] == [AT + 10 * count * SECOND for count in range(7)]
    assert history.latest
    assert history.latest.power_state == PowerStatus.RUNNING
    assert 0 < history.latest.memory_mib < 1024
    assert history.latest.cpu_percent > Decimal(0)
    assert UsageTask.objects.get().run_at == AT + 60 * SECOND + usage.SAMPLE_UNWATCHED_EVERY


def test_that_somebody_looks_is_not_written_at_each_look(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    written = []
    for seconds in range(0, 61, 5):
        usage.watch(server, at=AT + seconds * SECOND)
        work.run_due(at=AT + seconds * SECOND, models=LIVE)
        written.append(UsageTask.objects.get().watched_until)

    assert len(set(written)) == 2
    assert written[-1] == AT + 100 * SECOND


def test_who_looks_again_after_a_while_wakes_the_task_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    for at in (AT, AT + timedelta(hours=1)):
        usage.watch(server, at=at)
        work.run_due(at=at, models=LIVE)
        work.run_due(at=at + 70 * SECOND, models=LIVE)

    sampled = [sample.at - AT for sample in UsageSample.objects.order_by("at")]
    assert sampled == [timedelta(hours=1), timedelta(hours=1, seconds=70)]  # the older are deleted


def test_many_watched_servers_share_a_part_of_the_calls_that_the_provider_allows(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SHARE_PERCENT", 2)  # four calls of 240 a minute
    servers = [make_running(provider) for _ in range(3)]
    for server in servers:
        usage.watch(server, at=AT)
    work.run_due(at=AT, models=LIVE)

    assert {task.run_at - AT for task in UsageTask.objects.all()} == {45 * SECOND}


@pytest.mark.parametrize("kind", ["html", "drop", "status"])
def test_the_page_keeps_the_last_figures_with_their_age_while_the_panel_fails(
    panel: Sandbox, provider: Provider, kind: str
) -> None:
    server = make_running(provider, owner=make_user())
    panel.arm("pterodactyl", "GET /api/client", kind, times=0)
    usage.watch(server, at=AT)
    work.run_due(at=AT, models=LIVE)

    assert (UsageTask.objects.get().state, UsageSample.objects.count()) == (WorkState.QUEUED, 0)
    assert "Usage is not available right now" in page_of(server)

    panel.clear_faults()
    now = UsageTask.objects.get().created_at
    UsageSample.objects.create(
        server=server,
        organization=server.organization,
        at=now - timedelta(minutes=3),
        power_state=PowerStatus.OFF,
        cpu_percent=7,
        memory_mib=512,
        disk_mib=100,
        received_bytes=0,
        sent_bytes=0,
        uptime_seconds=60,
    )
    page = page_of(server)
    assert "512 MB of 1 GB" in page
    assert "Last reported at" in page
    assert "Running" in page  # what was reported three minutes ago says nothing of now


def test_no_page_asks_the_panel(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, owner=make_user())
    client = Client()
    client.force_login(server.owner)
    panel.arm("pterodactyl", "*", "hang", seconds=30, times=0)
    before = len(panel.requests("pterodactyl"))

    answers = [
        client.get(reverse("servers:detail", args=[server.pk])),
        client.post(reverse("servers:power", args=[server.pk]), {"action": "stop"}),
        client.post(reverse("servers:rename", args=[server.pk]), {"name": "Tower"}),
        client.post(reverse("servers:rename", args=[server.pk]), {"name": "!"}),
        client.get(reverse("servers:detail", args=[server.pk])),
    ]

    assert [answer.status_code for answer in answers] == [200, 302, 302, 422, 200]
    assert "The stop was requested" in answers[-1].content.decode()
    assert len(panel.requests("pterodactyl")) == before


def test_power_actions_reach_the_server_and_are_audited(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)

    request(server, PowerAction.STOP)
    work.run_due(at=AT, models=LIVE)
    assert panel_servers(panel)[0]["runtime"]["state"] == "offline"
    assert server.reload().status == ServerStatus.STOPPED
    request(server, PowerAction.START, AT + SECOND)
    work.run_due(at=AT + SECOND, models=LIVE)

    assert panel_servers(panel)[0]["runtime"]["state"] == "running"
    assert server.reload().status == ServerStatus.RUNNING
    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.SENT)
    audited = AuditEntry.objects.filter(action="server.power").order_by("id").values_list("new", flat=True)
    assert list(audited) == [{"action": "stop"}, {"action": "start"}]


def test_of_two_actions_the_last_is_sent(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    request(server, PowerAction.RESTART)
    request(server, PowerAction.KILL, AT + SECOND)

    work.run_due(at=AT + SECOND, models=LIVE)

    [sent] = panel.requests("pterodactyl", "POST /api/client")
    assert sent["body"] == {"signal": "kill"}


def test_an_action_that_is_requested_while_another_is_sent_is_sent_afterwards(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    request(server, PowerAction.RESTART)
    [task] = PowerTask.claim(limit=1, at=AT)
    request(server, PowerAction.KILL, AT + SECOND)

    work.run_item(task, at=AT)
    assert outcome_of(server) == (WorkState.QUEUED, "")
    work.run_due(at=AT + SECOND, models=LIVE)

    sent = [each["body"]["signal"] for each in panel.requests("pterodactyl", "POST /api/client")]
    assert sent == ["restart", "kill"]
    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.SENT)


def test_an_action_is_sent_when_a_short_outage_is_over(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, owner=make_user())
    request(server)
    panel.arm("pterodactyl", "POST /api/client", "status", status=503)
    work.run_due(at=AT, models=LIVE)
    assert outcome_of(server) == (WorkState.QUEUED, "")
    assert "The stop was requested" in page_of(server)

    work.run_due(at=AT + 5 * SECOND, models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.SENT)


@pytest.mark.parametrize(
    ("kind", "outcome"), [("status", PowerOutcome.NOT_SENT), ("lose_answer", PowerOutcome.NO_ANSWER)]
)
def test_an_action_is_given_up_rather_than_sent_much_later(
    panel: Sandbox, provider: Provider, kind: str, outcome: PowerOutcome
) -> None:
    server = make_running(provider)
    request(server, PowerAction.START)  # it runs already
    panel.arm("pterodactyl", "POST /api/client", kind, times=0, **({"status": 503} if kind == "status" else {}))
    for seconds in range(0, 300, 5):
        work.run_due(at=AT + seconds * SECOND, models=LIVE)
    panel.clear_faults()
    work.run_due(at=AT + timedelta(hours=1), models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, outcome)
    assert server.reload().status == ServerStatus.RUNNING
    assert panel_servers(panel)[0]["runtime"]["state"] == "running"


def test_an_action_that_no_worker_could_send_in_time_is_said_to_be_not_sent(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, owner=make_user())
    request(server)

    work.run_due(at=AT + timedelta(minutes=3), models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.NOT_SENT)
    assert panel.requests("pterodactyl", "POST /api/client") == []
    PowerTask.objects.update(finished_at=PowerTask.objects.get().created_at)
    assert "It could not be sent in time" in page_of(server)


def test_an_action_whose_worker_was_killed_may_have_been_sent(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_running(provider)
    request(server)
    [task] = PowerTask.claim(limit=1, at=AT)

    def kill(*_arguments: object) -> None:
        raise SystemExit

    monkeypatch.setattr(PterodactylDriverWithClientKey, "send_power_action", kill)
    with pytest.raises(SystemExit):
        power.perform(task, at=AT)
    work.run_due(at=AT + timedelta(minutes=3), models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.NO_ANSWER)


def test_a_restart_whose_answer_was_lost_is_not_sent_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    panel.advance(600)
    panel.arm("pterodactyl", "POST /api/client", "lose_answer")
    request(server, PowerAction.RESTART)
    work.run_due(at=AT, models=LIVE)
    assert outcome_of(server) == (WorkState.QUEUED, PowerOutcome.NO_ANSWER)

    for seconds in range(5, 60, 5):
        panel.advance(2)  # and the time that the test takes
        work.run_due(at=AT + seconds * SECOND, models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.SENT)
    assert len(panel.requests("pterodactyl", "POST /api/client")) == 1


def test_a_restart_that_never_arrived_is_sent_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    panel.advance(600)
    panel.arm("pterodactyl", "POST /api/client", "drop")
    request(server, PowerAction.RESTART)
    work.run_due(at=AT, models=LIVE)

    for seconds in range(5, 60, 5):
        work.run_due(at=AT + seconds * SECOND, models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.SENT)
    assert len(panel.requests("pterodactyl", "POST /api/client")) == 2


def test_what_the_panel_refuses_is_said_on_the_page(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, owner=make_user())
    panel.arm("pterodactyl", "POST /api/client", "status", status=409)
    request(server)
    work.run_due(at=AT, models=LIVE)
    PowerTask.objects.update(finished_at=PowerTask.objects.get().created_at)

    page = page_of(server)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.BUSY)
    assert "The server was not stopped." in page
    assert "busy with something else" in page
    assert server.reload().status == ServerStatus.RUNNING
    entry = AuditEntry.objects.filter(action="server.power").latest("pk")
    assert (entry.outcome, entry.actor_id) == (Outcome.REFUSED, PowerTask.objects.get().requested_by_id)


def test_power_is_refused_with_a_reason(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)

    with pytest.raises(power.PowerRefused, match="installed"):
        request(server.reload())
    run_until_quiet(AT)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="x", actor=None, at=AT)
    with pytest.raises(power.PowerRefused, match="suspended"):
        request(server.reload())
    run_until_quiet(AT)
    with pytest.raises(power.PowerRefused, match="suspended"):
        request(server.reload())
    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)
    with pytest.raises(power.PowerRefused):
        request(server.reload())


def test_a_server_that_is_suspended_meanwhile_gets_no_action(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    request(server, PowerAction.START)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="x", actor=None, at=AT)

    work.run_due(at=AT, models=LIVE)

    assert outcome_of(server) == (WorkState.DONE, PowerOutcome.NOT_INSTALLED)
    assert panel.requests("pterodactyl", "POST /api/client") == []


def test_without_a_client_key_a_server_is_delivered_but_takes_no_power_actions(
    panel: Sandbox, provider: Provider
) -> None:
    provider.credentials = {"application_key": provider.credentials["application_key"]}
    provider.save()

    server = make_running(provider)
    usage.watch(server, at=AT)
    work.run_due(at=AT, models=LIVE)

    assert usage.usage_of(server, at=AT).latest is None
    with pytest.raises(power.PowerRefused):
        request(server)
