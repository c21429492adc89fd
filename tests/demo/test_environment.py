"""The demo's ports, folder, lock and environment variables."""

import os
import re
import socket
import stat
import sys
from pathlib import Path

import pytest

from demo import __main__ as demo
from demo.environment import HOST, listen, locked_environment
from demo.processes import DemoError, ProcessGroup
from demo.purchase import Purchase
from nodebyte.seeding import users
from sandbox.client import Sandbox


@pytest.fixture(autouse=True)
def _own_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEBYTE_VAR", str(tmp_path))


def test_a_busy_port_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as taken, listen(taken.getsockname()[1]) as listener:
        assert listener.getsockname()[1] != taken.getsockname()[1]


def test_nobody_takes_a_port_between_choosing_and_using_it() -> None:
    with locked_environment() as environment, pytest.raises(OSError, match="in use"):
        socket.create_server(environment.web.getsockname())


def test_what_answers_at_the_shops_address_is_the_demos_own_process(tmp_path: Path) -> None:
    with locked_environment() as environment:
        processes = ProcessGroup(logs=tmp_path / "log", environment=environment.variables(), mark=str(tmp_path))
        accepts = f"import socket; socket.socket(fileno={environment.web.fileno()}).accept()[0].send(b'own')"
        processes.start("web", ["-c", accepts], pass_fds=[environment.web.fileno()])
        try:
            with socket.create_connection(environment.web.getsockname(), timeout=30) as client:
                assert client.recv(3) == b"own"
        finally:
            processes.stop()


def test_a_demo_does_not_work_in_a_shops_folder(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()

    with pytest.raises(DemoError, match="holds a shop's database"), locked_environment():
        pass
    with pytest.raises(DemoError, match="holds a shop's database"), locked_environment():
        pass


def test_a_second_demo_in_the_same_folder_is_refused() -> None:
    with locked_environment(), pytest.raises(DemoError, match="another demo runs in"), locked_environment():
        pass

    with locked_environment() as environment:
        assert environment.shop_url.startswith("http://127.0.0.1:")


def test_the_webhook_secret_is_made_once_and_kept_privately(tmp_path: Path) -> None:
    with locked_environment() as first:
        pass
    with locked_environment() as second:
        pass

    assert first.webhook_secret == second.webhook_secret
    assert re.fullmatch(r"whsec_[\w-]{30,}", first.webhook_secret)
    assert stat.S_IMODE((tmp_path / "stripe_webhook_secret").stat().st_mode) == 0o600


def test_a_real_shops_keys_never_reach_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_1")
    monkeypatch.setenv("SITE_URL", "https://shop.example")
    monkeypatch.setenv("EMAIL_URL", "smtp://mail.example")

    with locked_environment() as environment:
        variables = environment.variables() | environment.shop_variables(Sandbox("http://127.0.0.1:1", 25))

        assert variables["SITE_URL"] == environment.shop_url
    assert variables["STRIPE_SECRET_KEY"] == "sk_test_demo"
    assert variables["EMAIL_URL"] == "smtp://127.0.0.1:25"
    assert variables["PATH"] == os.environ["PATH"]


def test_the_printed_logins_are_those_seeded() -> None:
    assert demo.PASSWORD == users.DEMO_PASSWORD
    assert demo.LOGINS == {"admin": users.STAFF_EMAIL, "customer": users.CUSTOMER_EMAIL}


def test_success_is_the_last_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts read the last line, so nothing that happens while stopping may come after it."""
    monkeypatch.setattr("sys.argv", ["demo", "--once"])
    monkeypatch.setattr(ProcessGroup, "clear_leftovers", lambda processes: 0)
    monkeypatch.setattr(demo, "start", lambda processes, environment: None)
    monkeypatch.setattr(demo, "buy", lambda **_: Purchase("order", "server", 1.5))
    monkeypatch.setattr(demo, "check_panel", lambda sandbox, purchase: None)
    monkeypatch.setattr(demo, "stop", lambda processes: sys.stdout.write("web does not stop; killing it\n"))
    monkeypatch.setattr("signal.signal", lambda number, action: None)

    assert demo.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "DEMO OK order=order paid_to_running=1.50s"
