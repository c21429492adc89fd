"""Schedules of a server: made once whatever answer is lost, switched, run and deleted by a worker."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core.models import AuditEntry
from sandbox.client import Sandbox
from servers.models import Listing, Operation, OperationOutcome, Provider, Server
from servers.self_service import cron
from servers.self_service.schedules import ScheduleForm
from tests.servers.self_service import act, member_of, open_section, run, running_with

NIGHTLY = {"name": "Every night", "task": "backup", "every": "day", "at": "04:00", "weekday": "1"}


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    return running_with(provider)


@pytest.fixture
def browser(server: Server) -> Client:
    client = Client()
    client.force_login(server.owner)
    return client


def at_panel(panel: Sandbox) -> list[dict[str, Any]]:
    return list(panel.panel_state()["schedules"])


def make(browser: Client, server: Server, **fields: str) -> Any:
    return browser.post(reverse("servers:schedules", args=[server.pk]), {**NIGHTLY, **fields})


def ref_of(browser: Client, server: Server) -> str:
    open_section(browser, server, "schedules")
    return str(Listing.objects.get(server=server).result[0]["ref"])


def test_a_backup_every_night_is_made_as_the_form_is_opened(panel: Sandbox, server: Server, browser: Client) -> None:
    form = browser.get(reverse("servers:schedules", args=[server.pk])).context["form"]
    make(browser, server, **{name: str(form[name].value() or "")[:11] for name in ("name", "task", "every")})
    run()

    [made] = at_panel(panel)
    shown = open_section(browser, server, "schedules")
    assert (made["cron"]["hour"], made["cron"]["minute"], made["is_active"]) == ("4", "0", True)
    assert [(each["action"], each["payload"]) for each in made["tasks"]] == [("backup", "")]
    assert "Every day at 04:00 UTC" in shown
    assert "Make a backup" in shown


@pytest.mark.parametrize(
    "call", ["POST /api/client/servers/*/schedules", "POST /api/client/servers/*/schedules/*/tasks"]
)
@pytest.mark.parametrize("fault", ["lose_answer", "drop"])
def test_a_schedule_whose_answer_was_lost_is_one_schedule_with_one_task(
    panel: Sandbox, server: Server, browser: Client, call: str, fault: str
) -> None:
    panel.arm("pterodactyl", f"POST /api/client/*/{call}", fault)
    make(browser, server)
    operation = Operation.objects.get()
    for seconds in range(0, 60, 5):
        run(operation.requested_at + timedelta(seconds=seconds))

    assert [len(each["tasks"]) for each in at_panel(panel)] == [1]
    assert operation.reload().outcome == OperationOutcome.DONE


def test_it_is_switched_run_and_deleted(panel: Sandbox, server: Server, browser: Client) -> None:
    make(browser, server, task="restart", every="week", weekday="0", at="23:30")
    run()
    ref = ref_of(browser, server)
    assert "Every Sunday at 23:30 UTC" in open_section(browser, server, "schedules")

    for what in ("off", "off", "run"):
        act(browser, server, "schedule_act", ref, what)
        run()
    [schedule] = at_panel(panel)
    assert (schedule["is_active"], schedule["cron"]["day_of_week"]) == (False, "0")
    assert schedule["last_run_at"]
    act(browser, server, "schedule_act", ref, "delete")
    run()
    assert at_panel(panel) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"every": "cron", "line": "61 * * * *"}, "line"),
        ({"every": "cron", "line": "0 4 * *"}, "line"),
        ({"task": "command"}, "command"),
        ({"at": ""}, "at"),
        ({"every": "week", "weekday": ""}, "weekday"),
        ({"task": "delete everything"}, "task"),
    ],
)
def test_bad_input_is_said_at_its_field(server: Server, browser: Client, fields: dict[str, str], field: str) -> None:
    answer = make(browser, server, **fields)

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Operation.objects.exists()


def test_somebody_elses_schedule_and_who_only_operates(server: Server, browser: Client, provider: Provider) -> None:
    make(browser, server)
    run()
    ref = ref_of(browser, server)
    other = running_with(provider)
    stranger = Client()
    stranger.force_login(other.owner)

    assert act(stranger, other, "schedule_act", ref, "delete").status_code == 404
    assert member_of(server, "operate").get(reverse("servers:schedules", args=[server.pk])).status_code == 404


def test_the_command_of_a_schedule_is_in_no_audit_entry(panel: Sandbox, server: Server, browser: Client) -> None:
    make(browser, server, task="command", command="login hunter2")
    assert "hunter2" not in str(Operation.objects.get().arguments)
    run()

    assert [(each["action"], each["payload"]) for each in at_panel(panel)[0]["tasks"]] == [("command", "login hunter2")]
    assert "hunter2" not in str(list(AuditEntry.objects.values("new", "message")))
    assert Operation.objects.get().content is None


def test_cron_lines_are_what_was_chosen() -> None:
    lines = {"hour": "15 * * * *", "day": "15 4 * * *", "week": "15 4 * * 3", "cron": "*/5 1-3 * * 1,7"}
    for every, expected in lines.items():
        fields = {**NIGHTLY, "every": every, "at": "04:15", "weekday": "3", "line": " */5  1-3 * * 1,7"}
        form = ScheduleForm(fields)
        assert form.is_valid()
        assert form.asked()["arguments"]["cron"] == expected
    assert cron.in_words("*/5 1-3 * * 1,7") == "*/5 1-3 * * 1,7"
    assert not cron.is_valid("*/0 * * * *")
    assert not cron.is_valid("5-1 * * * *")
