"""The demo's ports, folder, lock and environment variables."""

import os
import re
import socket
import stat
import sys
from pathlib import Path

import pytest

from demo import __main__ as demo
from demo.environment import HOST, free_port, locked_environment
from demo.processes import DemoError, ProcessGroup
from demo.purchase import Purchase
from nodebyte.seeding import users
from sandbox.client import Sandbox


@pytest.fixture(autouse=True)
def _own_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEBYTE_VAR", str(tmp_path))


def test_a_busy_port_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as taken:
        busy = taken.getsockname()[1]

        found = free_port(busy)

    assert found != busy
    with socket.create_server((HOST, found)):
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

    assert variables["STRIPE_SECRET_KEY"] == "sk_test_demo"
    assert variables["SITE_URL"] == environment.shop_url
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
