"""The embedded PostgreSQL runs when it was started, and only then."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from django.core.management.base import CommandError

from core import embedded
from core.postgresql import logins

ROOT = Path(__file__).resolve().parents[2]


def run(var: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python command of a shop that lives in `var` and has no DATABASE_URL."""
    folders = {"NODEBYTE_VAR": str(var), "NODEBYTE_TEST_VAR": str(var)}
    environment = os.environ | folders | {"DATABASE_URL": "", "REDIS_URL": ""}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import django; django.setup()"),
        ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/core/test_ids.py"),
    ],
    ids=["settings", "collecting tests"],
)
def test_importing_the_settings_starts_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(tmp_path, *command)

    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("command", ["migrate", "runserver", "worker"])
def test_a_command_that_needs_it_says_how_to_start_it(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, "manage.py", command)

    assert done.returncode == 1
    assert "Start it with: manage.py embedded start" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_starts_and_stops_where_the_path_is_too_long_for_a_socket(tmp_path: Path) -> None:
    var = tmp_path / ("v" * 100)
    url = embedded.url(var, logins.WORKER_LOGIN)
    for _twice in range(2):
        started = run(var, "manage.py", "embedded", "start")
        assert started.returncode == 0, started.stderr
    try:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (embedded.DATABASE,)
    finally:
        for _twice in range(2):
            assert run(var, "manage.py", "embedded", "stop").returncode == 0

    assert not embedded.is_running(var)
    assert embedded.url(var, logins.WORKER_LOGIN) == url


def test_a_folder_for_sockets_that_is_not_ours_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deep = tmp_path / ("very" * 30)
    (tmp_path / "elsewhere").mkdir()
    embedded._socket_folder(deep / "postgres").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CommandError, match="somebody else's"):
        embedded.start(deep)
