"""The console of a server: commands by a worker, and the key to the node's socket for the one who asked."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from websockets.sync.client import connect
from websockets.typing import Origin

from accounts.models import AccessLevel, Membership, Role
from core import clock, work
from core.models import AuditEntry
from core.outside import limits
from sandbox.client import Sandbox
from servers import services
from servers.drivers.base import PowerAction
from servers.drivers.pterodactyl.client import PanelClient
from servers.live import power
from servers.models import HoldKind, Operation, OperationOutcome, PowerTask, Provider, Server, ServerAccess
from servers.self_service import operations
from tests.builders import make_user
from tests.servers.actions import control, make_running

ORIGIN = "https://shop.example"


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    """A running server of a customer of its own."""
    return make_running(provider, owner=make_user())


@pytest.fixture
def browser(server: Server) -> Client:
    """Its owner."""
    return signed_in(server.owner)


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def run(**models: Any) -> None:
    """Workers do what is due now."""
    limits.reset_limits()
    work.run_due(at=clock.now(), models=models.get("models", (Operation,)))


def console(server: Server, name: str = "console") -> str:
    return reverse(f"servers:{name}", args=[server.pk])


def output(panel: Sandbox, server: Server) -> list[str]:
    """What the game printed."""
    [found] = [each for each in panel.panel_state()["servers"] if each["external_id"] == str(server.pk)]
    return list(found["runtime"]["console"])


def key_of(browser: Client, server: Server) -> Any:
    """The answer to a script that asked for the key."""
    asked = browser.post(console(server, "console_open"))
    assert asked.status_code == 202
    run()
    return browser.get(asked.json()["url"])


def test_a_command_is_typed_once_and_is_in_no_audit_entry(panel: Sandbox, server: Server, browser: Client) -> None:
    assert browser.post(console(server), {"command": "op hunter2"}).status_code == 302
    run()

    assert "[My server] done: op hunter2" in output(panel, server)
    operation = Operation.objects.get()
    assert (operation.outcome, operation.content) == (OperationOutcome.DONE, None)
    entry = AuditEntry.objects.get(action="server.console.command")
    assert "hunter2" not in str(entry.new)


def test_a_script_gets_the_form_alone_and_an_error_at_the_field(server: Server, browser: Client) -> None:
    sent = browser.post(console(server), {"command": "say hi"}, headers={"HX-Request": "true"})
    assert sent.headers["HX-Trigger"] == "sent"
    assert "<html" not in sent.content.decode()
    for command in ("", " ", "say a\nop b", "x" * 1001, "say \x1b[0m"):
        refused = browser.post(console(server), {"command": command})
        assert refused.status_code == 422, command
        assert "command" in refused.context["form"].errors
    assert Operation.objects.count() == 1


def test_a_stopped_server_takes_no_command_and_that_says_nothing_about_its_panel(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    power.request_power_action(server=server, action=PowerAction.KILL, actor=None, at=clock.now())
    run(models=(PowerTask,))
    for _ in range(8):
        browser.post(console(server), {"command": "stop"})
        work.run_due(at=clock.now(), models=(Operation,))  # with the breaker of the panel as it is

    assert set(Operation.objects.values_list("outcome", flat=True)) == {OperationOutcome.REFUSED}
    assert "Start it first" in browser.get(console(server)).content.decode()


def test_the_key_opens_the_socket_and_the_page_may_reach_that_node_alone(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    control(panel, "settings", {"allowed_origins": [ORIGIN]})
    assert "connect-src 'self';" in browser.get(console(server)).headers["Content-Security-Policy"]
    key = key_of(browser, server).json()

    policy = browser.get(console(server)).headers["Content-Security-Policy"]
    assert f"connect-src 'self' {panel.base_url.replace('http', 'ws')};" in policy
    with connect(key["socket"], origin=Origin(ORIGIN)) as socket:
        socket.send(f'{{"event": "auth", "args": ["{key["token"]}"]}}')
        assert "auth success" in str(socket.recv(timeout=5))


def test_a_key_is_for_who_asked_and_not_for_long(
    server: Server, browser: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = key_of(browser, server).wsgi_request.path
    colleague = make_user()
    Membership.objects.create(organization=server.organization, user=colleague, role=Role.MEMBER)
    access = ServerAccess.objects.create(
        organization=server.organization, server=server, user=colleague, level=AccessLevel.OPERATE
    )
    other = signed_in(colleague)
    assert other.get(console(server)).status_code == 200
    assert "token" not in other.get(console(server)).content.decode().replace("csrfmiddlewaretoken", "")
    for client in (other, signed_in(make_user())):
        assert client.get(result).status_code == 404
    ServerAccess.objects.filter(pk=access.pk).update(level=AccessLevel.VIEW)
    for name in ("console", "console_open"):
        assert other.post(console(server, name), {"command": "op me"}).status_code == 404
    Operation.objects.update(requested_at=clock.now() - operations.SHOWN_FOR - timedelta(seconds=1))
    assert browser.get(result).status_code == 404


def test_the_key_of_another_server_is_never_given(
    server: Server, browser: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_running(provider, owner=make_user())
    read = PanelClient.client_read

    def mixed_up(self: PanelClient, path: str, *args: Any) -> Any:
        return read(self, path.replace(server.identifier, other.identifier) if "websocket" in path else path, *args)

    monkeypatch.setattr(PanelClient, "client_read", mixed_up)
    answer = key_of(browser, server)

    assert answer.status_code == 409
    assert "support" in answer.json()["message"]
    assert Operation.objects.get().result is None


def test_a_suspended_server_has_no_console(server: Server, browser: Client) -> None:
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=clock.now())

    asked = browser.post(console(server, "console_open"))
    sent = browser.post(console(server), {"command": "say hi"})

    assert asked.status_code == 409
    assert "suspended" in asked.json()["message"]
    assert "The server is suspended" in sent.context["form"].errors["command"][0]
    assert not Operation.objects.exists()
