"""Backups of a server: pages show what a worker read, and a worker does what they ask for, once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AccessLevel, Membership, Role, User, UserStatus
from core import clock, work
from core.models import AuditEntry
from core.outside import limits
from sandbox.client import Sandbox
from servers import services
from servers.models import (
    HoldKind,
    Listing,
    Operation,
    OperationOutcome,
    PowerOutcome,
    PowerTask,
    Provider,
    Server,
    ServerAccess,
)
from servers.self_service import operations
from tests.builders import make_user
from tests.servers.actions import control, make_running

SELF_SERVICE = (Operation, Listing)


def with_backups(provider: Provider) -> Server:
    """A running server of a customer of its own, whose plan has backups."""
    server = make_running(provider, owner=make_user())
    assert server.backups_limit >= 2
    return server


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    """A running server whose plan has backups."""
    control(panel, "settings", {"backup_seconds": 30, "backup_throttle_limit": 10})
    return with_backups(provider)


@pytest.fixture
def browser(server: Server) -> Client:
    """Its owner."""
    client = Client()
    client.force_login(server.owner)
    return client


def run(at: datetime | None = None) -> None:
    """Workers do what is due now."""
    limits.reset_limits()
    work.run_due(at=at or clock.now(), models=SELF_SERVICE)


def page(browser: Client, server: Server) -> str:
    """The page after a worker has read what it shows."""
    Listing.objects.update(read_at=None)
    browser.get(reverse("servers:backups", args=[server.pk]))
    run()
    return str(browser.get(reverse("servers:backups", args=[server.pk])).content.decode())


def at_panel(panel: Sandbox, server: Server) -> list[dict[str, Any]]:
    """The backups that the panel has."""
    return [each for each in panel.panel_state()["backups"] if each["deleted_at"] is None]


def make(browser: Client, server: Server, name: str = "before the update") -> Operation:
    """Ask for a backup by the page."""
    browser.post(reverse("servers:backups", args=[server.pk]), {"name": name})
    return Operation.objects.latest("requested_at")


def act(browser: Client, server: Server, ref: str, what: str, **data: str) -> Any:
    return browser.post(reverse("servers:backup_act", args=[server.pk, ref, what]), data)


def test_a_backup_is_made_shown_and_complete(panel: Sandbox, server: Server, browser: Client) -> None:
    assert "Reading the backups" in browser.get(reverse("servers:backups", args=[server.pk])).content.decode()
    make(browser, server)
    run()

    assert "Being made" in page(browser, server)
    panel.advance(31)
    shown = page(browser, server)

    assert "before the update" in shown
    assert "Being made" not in shown
    assert [each["name"] for each in at_panel(panel, server)] == ["before the update"]


@pytest.mark.parametrize("fault", ["lose_answer", "drop"])
def test_a_backup_whose_answer_was_lost_is_one_backup(
    panel: Sandbox, server: Server, browser: Client, fault: str
) -> None:
    panel.arm("pterodactyl", "POST /api/client", fault)

    operation = make(browser, server)
    for seconds in range(0, 60, 5):
        run(operation.requested_at + timedelta(seconds=seconds))

    assert len(at_panel(panel, server)) == (1 if fault == "lose_answer" else 0)
    expected = OperationOutcome.DONE if fault == "lose_answer" else OperationOutcome.NO_ANSWER
    assert operation.reload().outcome == expected


def test_restoring_asks_for_the_name_and_puts_the_files_back(panel: Sandbox, server: Server, browser: Client) -> None:
    make(browser, server)
    run()
    panel.advance(31)
    page(browser, server)
    [backup] = at_panel(panel, server)

    refused = act(browser, server, backup["uuid"], "restore", typed="another")
    assert refused.status_code == 422
    assert "not the server" in refused.content.decode()
    assert not Operation.objects.filter(kind="backup.restore").exists()
    act(browser, server, backup["uuid"], "restore", typed=server.name)
    run()

    assert Operation.objects.get(kind="backup.restore").outcome == OperationOutcome.DONE
    assert AuditEntry.objects.filter(action="server.backup.restore", actor_id=server.owner.pk).exists()


def test_a_locked_backup_is_kept_and_an_unlocked_one_deleted(panel: Sandbox, server: Server, browser: Client) -> None:
    make(browser, server)
    run()
    panel.advance(31)
    page(browser, server)
    [backup] = at_panel(panel, server)

    for what in ("lock", "lock", "delete"):  # locking twice leaves it locked
        act(browser, server, backup["uuid"], what, typed=server.name)
        run()
    assert "Unlock it first" in page(browser, server)
    for what in ("unlock", "delete"):
        act(browser, server, backup["uuid"], what, typed=server.name)
        run()

    assert at_panel(panel, server) == []


def test_a_download_is_a_link_of_the_node_for_some_minutes(
    panel: Sandbox, server: Server, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(browser, server)
    run()
    panel.advance(31)
    page(browser, server)
    [backup] = at_panel(panel, server)
    act(browser, server, backup["uuid"], "download")
    run()
    operation = Operation.objects.get(kind="backup.download")
    address = reverse("servers:download", args=[server.pk, operation.pk])

    assert address in page(browser, server)
    assert "token=" in browser.get(address).url  # type: ignore[attr-defined]
    Operation.objects.update(requested_at=operation.requested_at - operations.SHOWN_FOR)
    assert browser.get(address).status_code == 404


def test_somebody_elses_backup_is_not_found(server: Server, browser: Client, provider: Provider) -> None:
    other = with_backups(provider)
    stranger = Client()
    stranger.force_login(other.owner)
    make(stranger, other)
    run()
    page(stranger, other)
    [listing] = Listing.objects.filter(server=other)
    ref = listing.result[0]["ref"]

    assert act(browser, server, ref, "delete", typed=server.name).status_code == 404
    assert act(browser, other, ref, "delete", typed=other.name).status_code == 404
    assert not Operation.objects.filter(kind="backup.delete").exists()


def test_who_only_operates_a_server_makes_backups_and_deletes_none(server: Server, panel: Sandbox) -> None:
    member = make_user()
    Membership.objects.create(organization=server.organization, user=member, role=Role.MEMBER)
    access = ServerAccess.objects.create(
        organization=server.organization, server=server, user=member, level=AccessLevel.OPERATE
    )
    client = Client()
    client.force_login(member)
    make(client, server)
    run()
    [backup] = at_panel(panel, server)

    shown = page(client, server)
    assert backup["uuid"] not in shown
    assert act(client, server, backup["uuid"], "delete", typed=server.name).status_code == 404
    ServerAccess.objects.filter(pk=access.pk).update(level=AccessLevel.VIEW)
    assert client.get(reverse("servers:backups", args=[server.pk])).status_code == 404


@pytest.mark.parametrize("lost", ["level", "membership", "account"])
def test_what_was_asked_for_is_not_done_for_who_lost_their_access_meanwhile(
    server: Server, panel: Sandbox, lost: str
) -> None:
    member = make_user()
    membership = Membership.objects.create(organization=server.organization, user=member, role=Role.MEMBER)
    access = ServerAccess.objects.create(
        organization=server.organization, server=server, user=member, level=AccessLevel.OPERATE
    )
    client = Client()
    client.force_login(member)
    asked = make(client, server)
    client.post(reverse("servers:power", args=[server.pk]), {"action": "kill"})
    if lost == "level":
        ServerAccess.objects.filter(pk=access.pk).update(level=AccessLevel.VIEW)
    elif lost == "membership":
        membership.delete()
    else:
        User.objects.filter(pk=member.pk).update(status=UserStatus.SUSPENDED)

    work.run_due(at=clock.now(), models=(*SELF_SERVICE, PowerTask))

    assert (asked.reload().outcome, asked.reload().is_open) == (OperationOutcome.NO_ACCESS, False)
    assert PowerTask.objects.get().outcome == PowerOutcome.NO_ACCESS
    assert at_panel(panel, server) == []
    assert not panel.requests("pterodactyl", "/power")
    refused = AuditEntry.objects.filter(action__in=["server.backup.create", "server.power"], outcome="refused")
    assert "may not do that any more" in refused.first().message  # type: ignore[union-attr]
    assert refused.count() == 2


def test_a_suspended_server_makes_no_backup_and_says_why(server: Server, browser: Client, panel: Sandbox) -> None:
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=clock.now())

    answer = browser.post(reverse("servers:backups", args=[server.pk]), {"name": "now"}, follow=True)

    assert "The server is suspended" in answer.content.decode()
    assert not Operation.objects.exists()


def test_the_limit_of_the_plan_and_too_many_at_once_are_said(panel: Sandbox, server: Server, browser: Client) -> None:
    for number in range(server.backups_limit + 1):
        make(browser, server, f"number {number}")
        run()

    assert "All the backups of your plan are used" in page(browser, server)
    control(panel, "settings", {"backup_throttle_limit": 1})
    make(browser, server)
    run()
    assert "only every few minutes" in page(browser, server)


def test_the_page_asks_no_provider_and_a_bad_name_is_said_at_its_field(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    calls = len(panel.requests("pterodactyl", "GET /api/client"))

    answer = browser.post(reverse("servers:backups", args=[server.pk]), {"name": "../../etc"})

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["name"]
    assert len(panel.requests("pterodactyl", "GET /api/client")) == calls


def test_a_form_that_is_sent_twice_makes_one_backup(panel: Sandbox, server: Server, browser: Client) -> None:
    assert make(browser, server) == make(browser, server)
    assert make(browser, server, "another") != make(browser, server)
    assert [each.arguments["name"] for each in Operation.objects.order_by("requested_at")] == [
        "before the update",
        "another",
        "before the update",
    ]


def test_nobody_fills_the_queue_with_one_server(
    server: Server, browser: Client, panel: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MAX_OPEN", 3)
    for number in range(3):
        make(browser, server, f"backup {number}")
    run()
    make(browser, server, "backup 3")
    assert Operation.objects.count() == 3
    assert "too much at once" in browser.get(reverse("servers:backups", args=[server.pk])).content.decode()

    Operation.objects.update(requested_at=clock.now() - timedelta(minutes=2))
    make(browser, server, "backup 4")
    assert Operation.objects.count() == 4
