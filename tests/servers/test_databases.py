"""Databases of a server: made, listed and deleted by a worker, once; a password is shown once and kept nowhere."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core.models import AuditEntry
from sandbox.client import Sandbox
from servers.models import Listing, Operation, OperationOutcome, Provider, Server
from servers.self_service import operations
from tests.servers.self_service import act, member_of, open_section, run, running_with, suspend


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    return running_with(provider, databases=2)


@pytest.fixture
def browser(server: Server) -> Client:
    client = Client()
    client.force_login(server.owner)
    return client


def at_panel(panel: Sandbox) -> Sequence[dict[str, Any]]:
    return list(panel.panel_state()["databases"])


def make(browser: Client, server: Server, name: str = "players", remote: str = "%") -> Operation:
    browser.post(reverse("servers:databases", args=[server.pk]), {"name": name, "remote": remote})
    return Operation.objects.latest("requested_at")


def reveal(browser: Client, operation: Operation) -> str:
    address = reverse("servers:database_password", args=[operation.server_id, operation.pk])
    return str(browser.post(address, follow=True).content.decode())


def revealed(browser: Client, operation: Operation) -> str:
    """The password, empty where none is shown."""
    found = re.search(r'data-copy="([^"]+)"', reveal(browser, operation))
    return found[1] if found else ""


def test_a_database_is_made_and_its_password_shown_once_and_kept_nowhere(
    panel: Sandbox, server: Server, browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    operation = make(browser, server)
    run()
    [made] = at_panel(panel)
    shown = open_section(browser, server, "databases")

    assert made["database"] in shown
    assert "connections from anywhere" in shown
    password = revealed(browser, operation)
    assert len(password) == 24
    assert password not in shown
    assert "shown already" in reveal(browser, operation)
    assert "can be shown for some minutes" not in open_section(browser, server, "databases")
    kept = [*AuditEntry.objects.values(), *Operation.objects.values(), *Listing.objects.values()]
    assert password not in f"{kept} {caplog.text}"


def test_a_password_is_shown_again_and_changed_when_asked_for(server: Server, browser: Client) -> None:
    made = make(browser, server)
    run()
    open_section(browser, server, "databases")
    ref = Listing.objects.get(server=server).result[0]["ref"]

    passwords = [revealed(browser, made)]
    for what in ("password", "rotate", "password"):
        act(browser, server, "database_act", ref, what)
        run()
        passwords.append(revealed(browser, Operation.objects.latest("requested_at")))
    assert passwords[0] == passwords[1] != passwords[2] == passwords[3]


def test_a_password_is_for_who_asked_and_for_some_minutes(server: Server, browser: Client) -> None:
    operation = make(browser, server)
    run()

    assert not revealed(member_of(server, "manage"), operation)
    Operation.objects.update(requested_at=operation.requested_at - timedelta(minutes=11))
    assert not revealed(browser, operation)
    operations.forget(at=operation.requested_at)
    Operation.objects.update(requested_at=operation.requested_at)
    assert not revealed(browser, operation)


@pytest.mark.parametrize("fault", ["lose_answer", "drop"])
def test_a_database_whose_answer_was_lost_is_one_database(
    panel: Sandbox, server: Server, browser: Client, fault: str
) -> None:
    panel.arm("pterodactyl", "POST /api/client", fault)
    operation = make(browser, server)
    for seconds in range(0, 60, 5):
        run(operation.requested_at + timedelta(seconds=seconds))

    assert len(at_panel(panel)) == (1 if fault == "lose_answer" else 0)
    expected = OperationOutcome.DONE if fault == "lose_answer" else OperationOutcome.NO_ANSWER
    assert operation.reload().outcome == expected


def test_deleting_asks_for_the_name_and_a_second_time_is_fine(panel: Sandbox, server: Server, browser: Client) -> None:
    make(browser, server)
    run()
    open_section(browser, server, "databases")
    ref = Listing.objects.get(server=server).result[0]["ref"]

    assert act(browser, server, "database_act", ref, "delete", typed="another").status_code == 422
    for _time in range(2):
        assert act(browser, server, "database_act", ref, "delete", typed=server.name).status_code == 302
    run()

    assert at_panel(panel) == []
    outcomes = Operation.objects.filter(kind="database.delete").values_list("outcome", flat=True)
    assert set(outcomes) == {OperationOutcome.DONE}
    assert AuditEntry.objects.filter(action="server.database.delete", actor_id=server.owner.pk).exists()


def test_the_plans_limit_and_a_name_that_is_taken_are_said(server: Server, browser: Client) -> None:
    for name, said in (("one", ""), ("one", "of this name already"), ("two", ""), ("three", "of your plan are used")):
        make(browser, server, name)
        run()
        assert said in open_section(browser, server, "databases")


@pytest.mark.parametrize(
    ("name", "remote", "field"),
    [("a b", "%", "name"), ("ab", "%", "name"), ("players", "example.com", "remote"), ("x" * 49, "%", "name")],
)
def test_bad_input_is_said_at_its_field_and_asks_nothing(
    server: Server, browser: Client, name: str, remote: str, field: str
) -> None:
    answer = browser.post(reverse("servers:databases", args=[server.pk]), {"name": name, "remote": remote})

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Operation.objects.exists()


def test_others_and_who_only_operates_the_server_see_no_databases(
    server: Server, browser: Client, provider: Provider
) -> None:
    operation = make(browser, server)
    run()
    open_section(browser, server, "databases")
    ref = Listing.objects.get(server=server).result[0]["ref"]
    other = running_with(provider, databases=2)
    stranger = Client()
    stranger.force_login(other.owner)

    assert act(stranger, other, "database_act", ref, "delete", typed=other.name).status_code == 404
    for client in (stranger, member_of(server, "operate")):
        assert client.get(reverse("servers:databases", args=[server.pk])).status_code == 404
        assert not revealed(client, operation)
    suspend(server)
    assert "The server is suspended" in str(
        browser.post(
            reverse("servers:databases", args=[server.pk]), {"name": "two", "remote": "%"}, follow=True
        ).content
    )
