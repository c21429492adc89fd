"""The console socket: token, origin, output, power."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.sandbox.pterodactyl_panel import PanelUnderTest


@pytest.fixture
def server(panel: PanelUnderTest) -> dict[str, Any]:
    """A server that is installed and off."""
    return panel.make_ready_server()


class Listener:
    """A client of a console socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, event: str, *args: str) -> None:
        """Send one frame."""
        self.socket.send(json.dumps({"event": event, "args": list(args)}))

    def receive(self, *, timeout: float = 3) -> tuple[str, list[str]]:
        """The next frame."""
        frame = json.loads(self.socket.recv(timeout=timeout))
        return frame["event"], frame.get("args", [])

    def wait_for(self, event: str) -> list[str]:
        """The arguments of the next frame of this kind; the others are passed over."""
        for _ in range(200):
            name, args = self.receive()
            if name == event:
                return args
        raise AssertionError(f"no {event}")


def access(panel: PanelUnderTest, server: dict[str, Any], **options: Any) -> dict[str, str]:
    """A fresh token and the socket's address."""
    found: dict[str, str] = panel.client("GET", f"/servers/{server['identifier']}/websocket", **options).json()["data"]
    return found


@contextmanager
def listening(panel: PanelUnderTest, server: dict[str, Any]) -> Iterator[Listener]:
    """A socket that has not sent a token yet."""
    with connect(access(panel, server)["socket"], origin=Origin(panel.sandbox_url)) as socket:
        yield Listener(socket)


@contextmanager
def authenticated(panel: PanelUnderTest, server: dict[str, Any]) -> Iterator[Listener]:
    """A socket past its first token and status."""
    with listening(panel, server) as listener:
        listener.send("auth", access(panel, server)["token"])
        assert listener.receive() == ("auth success", [])
        listener.wait_for("status")
        yield listener


def test_after_auth_come_success_status_and_one_stats_when_offline(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    with listening(panel, server) as listener:
        listener.send("auth", access(panel, server)["token"])

        assert listener.receive() == ("auth success", [])
        assert listener.receive() == ("status", ["offline"])
        event, args = listener.receive()

    assert event == "stats"
    assert set(json.loads(args[0])) == {
        "memory_bytes",
        "memory_limit_bytes",
        "cpu_absolute",
        "network",
        "uptime",
        "state",
        "disk_bytes",
    }


@pytest.mark.parametrize("origin", [None, Origin("https://elsewhere.test")])
def test_a_missing_or_foreign_origin_is_refused(
    panel: PanelUnderTest, server: dict[str, Any], origin: Origin | None
) -> None:
    address = access(panel, server)["socket"]

    with pytest.raises(InvalidStatus), connect(address, origin=origin):
        pass

    panel.set(allowed_origins=["https://elsewhere.test"])
    if origin:
        with connect(address, origin=origin):
            pass


def test_a_bad_token_is_a_jwt_error_and_so_is_a_frame_without_one(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    other = panel.make_ready_server(external_id="svc-2")
    with listening(panel, server) as listener:
        listener.send("send logs")
        assert listener.receive()[0] == "jwt error"
        listener.send("auth", "nonsense")
        assert listener.receive()[0] == "jwt error"
        listener.send("auth", access(panel, other)["token"])
        assert listener.receive()[0] == "jwt error"
        token = access(panel, server)["token"]
        panel.advance(601)
        listener.send("auth", token)
        assert listener.receive()[0] == "jwt error"


def test_a_token_is_announced_as_expiring_then_expired_and_renewed_on_the_same_socket(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    panel.set(token_seconds=600, token_check_seconds=30)
    with authenticated(panel, server) as listener:
        panel.advance(545)
        listener.wait_for("token expiring")
        listener.send("auth", access(panel, server)["token"])
        assert listener.receive() == ("auth success", [])
        panel.advance(545)
        assert listener.wait_for("token expiring") == []
        panel.advance(60)
        assert listener.wait_for("token expired") == []
        listener.send("send command", "hi")
        assert listener.receive()[0] == "jwt error"
        listener.send("auth", access(panel, server)["token"])
        assert listener.receive() == ("auth success", [])
        listener.send("set state", "start")
        assert listener.wait_for("status") == ["starting"]


def test_the_life_of_a_token_is_a_setting(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(token_seconds=0.6, token_warning_seconds=0.4, token_check_seconds=0.1)
    with listening(panel, server) as listener:
        listener.send("auth", access(panel, server)["token"])

        listener.wait_for("token expiring")
        listener.wait_for("token expired")


def test_set_state_and_commands_show_on_the_console(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(power_seconds=0.3, stats_seconds=0.1, output_seconds=0.2)
    with authenticated(panel, server) as listener:
        listener.send("set state", "start")
        assert listener.wait_for("status") == ["starting"]
        assert listener.wait_for("status") == ["running"]
        listener.send("send command", "say hi")
        lines = [listener.wait_for("console output")[0] for _ in range(4)]
        stats = json.loads(listener.wait_for("stats")[0])
        listener.send("set state", "kill")
        assert listener.wait_for("status") == ["offline"]
        listener.send("send logs")
        logs = [listener.wait_for("console output")[0] for _ in range(3)]

    assert "> say hi" in lines
    assert stats["state"] == "running"
    assert 0 < stats["memory_bytes"] < stats["memory_limit_bytes"]
    assert logs[1:] == ["Server marked as running.", "> say hi"]


def test_an_install_and_a_backup_are_announced_and_the_socket_closes_with_the_server(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    with authenticated(panel, server) as listener:
        panel.application("POST", f"/servers/{server['id']}/reinstall")
        listener.wait_for("install started")
        assert listener.wait_for("install output") == ["Installing A server from its egg"]
        panel.advance(4)
        listener.wait_for("install completed")
        made = panel.client("POST", f"/servers/{server['identifier']}/backups", {"name": "b"}).json()["attributes"]
        panel.advance(3)
        report = json.loads(listener.wait_for(f"backup completed:{made['uuid']}")[0])
        panel.application("DELETE", f"/servers/{server['id']}")
        with pytest.raises(ConnectionClosed):
            listener.wait_for("nothing")

    assert report["is_successful"] is True


def test_a_node_that_is_down_accepts_no_sockets(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(node_mode="refuse")

    with pytest.raises(InvalidStatus), listening(panel, server):
        pass
