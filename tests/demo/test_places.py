"""The demo's ground: ports, folder, lock and environment."""

import os
import re
import socket
import stat
import sys
from pathlib import Path

import pytest

from demo import __main__ as demo
from demo.crew import Crew, Failed
from demo.places import HOST, free_port, places
from demo.purchase import Bought
from nodebyte.seeding import users
from sandbox.client import Sandbox


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEBYTE_VAR", str(tmp_path))


def test_a_busy_port_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as taken:
        busy = taken.getsockname()[1]

        found = free_port(busy)

    assert found != busy
    with socket.create_server((HOST, found)):
        pass


def test_a_second_demo_in_the_same_folder_is_refused() -> None:
    with places(), pytest.raises(Failed, match="another demo runs in"), places():
        pass

    with places() as found:
        assert found.shop.startswith("http://127.0.0.1:")


def test_the_webhook_secret_is_kept_privately(tmp_path: Path) -> None:
    with places() as first:
        pass
    with places() as second:
        pass

    assert first.webhook_secret == second.webhook_secret
    assert re.fullmatch(r"whsec_[\w-]{30,}", first.webhook_secret)
    assert stat.S_IMODE((tmp_path / "stripe_webhook_secret").stat().st_mode) == 0o600


def test_a_real_shops_keys_never_reach_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_1")
    monkeypatch.setenv("SITE_URL", "https://shop.example")
    monkeypatch.setenv("EMAIL_URL", "smtp://mail.example")

    with places() as found:
        environment = found.environment() | found.shop_environment(Sandbox("http://127.0.0.1:1", 25))

    assert environment["STRIPE_SECRET_KEY"] == "sk_test_demo"
    assert environment["SITE_URL"] == found.shop
    assert environment["EMAIL_URL"] == "smtp://127.0.0.1:25"
    assert environment["PATH"] == os.environ["PATH"]


def test_the_nudges_of_an_earlier_run_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "queue" / "messages").mkdir(parents=True)
    (tmp_path / "queue" / "messages" / "half.msg").write_text("{")

    with places() as found:
        found.forget_nudges()
        found.forget_nudges()

    assert not (tmp_path / "queue").exists()


def test_the_logins_told_are_those_seeded() -> None:
    assert demo.PASSWORD == users.DEMO_PASSWORD
    assert demo.LOGINS == {"admin": users.STAFF_EMAIL, "customer": users.CUSTOMER_EMAIL}


def test_the_good_end_is_the_last_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts read the last line, so nothing that happens while stopping may come after it."""
    monkeypatch.setattr("sys.argv", ["demo", "--once"])
    monkeypatch.setattr(Crew, "clear_leftovers", lambda crew: 0)
    monkeypatch.setattr(demo, "_start", lambda crew, found: None)
    monkeypatch.setattr(demo, "buy", lambda **_: Bought("order", "server", 1.5))
    monkeypatch.setattr(demo, "_check_panel", lambda sandbox, bought: None)
    monkeypatch.setattr(demo, "_stop", lambda crew, found: sys.stdout.write("web does not stop; killing it\n"))
    monkeypatch.setattr("signal.signal", lambda number, action: None)

    assert demo.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "DEMO OK order=order paid_to_running=1.50s"
