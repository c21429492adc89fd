"""The relay of consoles, over real sockets: a browser's, the relay's own, and the one of the stand-in's node."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from django.conf import settings as shop
from django.test import Client
from django.urls import reverse
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from accounts.models import AccessLevel, Membership, Role
from core import clock, work
from core.outside import limits
from sandbox.client import Sandbox
from servers import services
from servers.management.commands.console_relay import configuration
from servers.models import HoldKind, Operation, Provider, Server, ServerAccess
from servers.self_service import relay
from servers.self_service.kinds import relay_address
from tests.builders import make_user
from tests.servers.actions import control, make_running, request_count

TIMEOUT = 5


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    """A running server whose console is relayed."""
    Provider.objects.update(is_console_relayed=True)
    return make_running(provider, owner=make_user())


@pytest.fixture
def browser(server: Server) -> Client:
    """Its owner, whose page has asked for the console."""
    return asking(server.owner, server)


@pytest.fixture(autouse=True)
def _relay(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The relay, in a thread of this process."""
    monkeypatch.setattr(relay, "CHECK_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.CONSOLE_RELAY_URL = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        running = uvicorn.Server(configuration())
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield
        running.should_exit = True
        thread.join(timeout=TIMEOUT)
    assert not thread.is_alive()


def asking(user: Any, server: Server) -> Client:
    """A signed-in browser whose page has asked for the console, and was given the relay's address without a token."""
    client = Client()
    client.force_login(user)
    asked = client.post(reverse("servers:console_open", args=[server.pk]))
    run_operations()
    assert client.get(asked.json()["url"]).json() == {"socket": relay_address(server.pk), "token": ""}
    return client


def run_operations() -> None:
    limits.reset_limits()
    work.run_due(at=clock.now(), models=(Operation,))


@contextmanager
def following(browser: Client, server: Server, *, origin: str = shop.SITE_URL) -> Iterator[ClientConnection]:
    """The socket as the page's script opens it. The loopback's cookie goes to any of its ports."""
    cookies = {"Cookie": "; ".join(f"{name}={each.value}" for name, each in browser.cookies.items())}
    address = relay_address(server.pk)
    with connect(address, origin=Origin(origin), additional_headers=cookies, proxy=None) as opened:
        yield opened


def heard(opened: ClientConnection, event: str, text: str = "") -> list[str]:
    """The events up to the first of this name whose text contains this."""
    events, ends_at = [], time.monotonic() + TIMEOUT
    while True:
        frame = json.loads(opened.recv(timeout=ends_at - time.monotonic()))
        events.append(frame["event"])
        if frame["event"] == event and text in str(frame.get("args")):
            return events


def said(opened: ClientConnection) -> tuple[int, str]:
    """With which code and words the relay closes it."""
    ends_at = time.monotonic() + TIMEOUT
    with suppress(ConnectionClosed):
        while True:
            opened.recv(timeout=ends_at - time.monotonic())
    return opened.close_code or 0, opened.close_reason or ""


def test_output_arrives_and_a_command_goes_through_the_page(panel: Sandbox, server: Server, browser: Client) -> None:
    page = browser.get(reverse("servers:console", args=[server.pk]))
    assert f"connect-src 'self' {shop.CONSOLE_RELAY_URL};" in page.headers["Content-Security-Policy"]
    with following(browser, server) as opened:
        assert heard(opened, "status") == ["auth success", "status"]
        opened.send(json.dumps({"event": "send logs", "args": []}))
        heard(opened, "console output")

        # What acts goes through the page's forms, which check it, audit it and can say what is wrong with it.
        for event, argument in (("auth", "x"), ("set state", "kill"), ("send command", "op me"), ("x", "y")):
            opened.send(json.dumps({"event": event, "args": [argument]}))
        for frame in ("nonsense", "[]", '{"event": []}', "[" * 900):
            opened.send(frame)
        browser.post(reverse("servers:console", args=[server.pk]), {"command": "say hello"})
        run_operations()
        events = heard(opened, "console output", "say hello")

    assert not {"jwt error", "status"} & set(events)
    [found] = [each for each in panel.panel_state()["servers"] if each["external_id"] == str(server.pk)]
    assert found["runtime"]["state"] == "running"
    assert "op me" not in str(found["runtime"]["console"])


def test_a_token_that_ends_is_renewed_by_the_relay(panel: Sandbox, server: Server, browser: Client) -> None:
    control(panel, "settings", {"token_check_seconds": 0.1})
    with following(browser, server) as opened:
        heard(opened, "auth success")
        for seconds in (541, 601):  # it expires soon; it has expired
            panel.advance(seconds)
            assert not {"token expiring", "token expired", "jwt error"} & set(heard(opened, "auth success"))
    assert request_count(panel, "GET /api/client/servers/*/websocket") == 3


def test_an_outage_at_a_renewal_waits_while_the_token_is_valid(panel: Sandbox, server: Server, browser: Client) -> None:
    control(panel, "settings", {"token_check_seconds": 0.1})
    with following(browser, server) as opened:
        heard(opened, "auth success")
        panel.arm("pterodactyl", "GET */websocket", "status", status=503)
        panel.advance(541)
        heard(opened, "stats")
        panel.advance(60)
        heard(opened, "auth success")


def test_other_sites_strangers_and_those_who_did_not_ask_are_refused(
    server: Server, provider: Provider, browser: Client
) -> None:
    for origin in ("https://elsewhere.test", f"{shop.SITE_URL}.elsewhere.test", "null"):
        with pytest.raises(InvalidStatus, match="403"), following(browser, server, origin=origin):
            pass
    colleague, stranger, visitor, other = Client(), Client(), Client(), make_running(provider, owner=make_user())
    colleague.force_login(viewer_of(server))
    stranger.force_login(other.owner)
    unasked = Client()
    unasked.force_login(server.owner)
    for client in (colleague, stranger, visitor):
        with pytest.raises(InvalidStatus, match="403"), following(client, server):
            pass
    with pytest.raises(InvalidStatus, match="403"), following(browser, other):
        pass
    Operation.objects.all().delete()
    with pytest.raises(InvalidStatus, match="403"), following(unasked, server):
        pass


def viewer_of(server: Server) -> Any:
    """A member of the server's organization who may only look at it."""
    user = make_user()
    Membership.objects.create(organization=server.organization, user=user, role=Role.MEMBER)
    ServerAccess.objects.create(organization=server.organization, server=server, user=user, level=AccessLevel.VIEW)
    return user


def test_what_ends_the_access_ends_the_socket(server: Server) -> None:
    user = viewer_of(server)
    ServerAccess.objects.update(level=AccessLevel.OPERATE)
    member = asking(user, server)
    owner = asking(server.owner, server)
    with following(member, server) as first, following(owner, server) as second:
        heard(first, "auth success")
        heard(second, "auth success")
        ServerAccess.objects.update(level=AccessLevel.VIEW)
        assert said(first)[0] == relay.ENDED
        owner.logout()
        assert said(second)[0] == relay.ENDED


def test_a_server_that_is_another_one_at_its_panel_ends_the_socket(server: Server, browser: Client) -> None:
    with following(browser, server) as opened:
        heard(opened, "auth success")
        Server.objects.update(identifier="00000000")
        assert said(opened)[0] == relay.ENDED


def test_a_suspended_server_says_so_at_once_and_later(server: Server, browser: Client) -> None:
    with following(browser, server) as opened:
        heard(opened, "auth success")
        services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=clock.now())
        code, words = said(opened)
    assert (code, "suspended" in words) == (relay.SUSPENDED, True)
    with following(browser, server) as opened:
        assert said(opened) == (code, words)


def test_a_node_and_a_panel_that_do_not_answer_are_said_in_words(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    control(panel, "settings", {"node_mode": "refuse"})
    with following(browser, server) as opened:
        assert said(opened) == (relay.NOT_REACHED, "The server’s node does not answer at the moment. Trying again…")
    control(panel, "settings", {"node_mode": "up"})
    panel.arm("pterodactyl", "GET */websocket", "drop", times=0)
    with following(browser, server) as opened:
        assert said(opened)[0] == relay.NOT_REACHED


def test_sockets_are_few_and_idle_ones_end(server: Server, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_OF_USER", 1)
    with following(browser, server) as first:
        heard(first, "auth success")
        with following(browser, server) as second:
            assert said(second)[0] == relay.TOO_MANY
        monkeypatch.setattr(relay, "IDLE_SECONDS", 0)
        assert said(first)[0] == relay.IDLE
    monkeypatch.setattr(relay, "IDLE_SECONDS", 900)
    with following(browser, server) as again:
        heard(again, "auth success")


def test_a_user_who_opens_sockets_again_and_again_does_not_use_up_the_panels_calls(
    panel: Sandbox, server: Server, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MAX_OPENED", 3)
    monkeypatch.setattr(relay, "OPENED_SECONDS", 600)
    for _socket in range(3):
        with following(browser, server) as opened:
            heard(opened, "auth success")
    for _socket in range(5):
        with following(browser, server) as refused:
            assert said(refused) == (relay.NOT_REACHED, "The connection is lost. Trying again…")
    assert request_count(panel, "GET /api/client/servers/*/websocket") == 3
    relay._opened_of.clear()
    with following(browser, server) as again:
        heard(again, "auth success")


def test_the_users_of_one_server_do_not_take_the_sockets_of_all_others(
    server: Server, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = viewer_of(server)
    ServerAccess.objects.update(level=AccessLevel.OPERATE)
    member = asking(user, server)
    monkeypatch.setattr(relay, "MAX_OF_SERVER", 1)
    with following(browser, server) as first:
        heard(first, "auth success")
        with following(member, server) as second:
            assert said(second)[0] == relay.TOO_MANY
