"""The shop as it really runs: gunicorn in a process of its own over the test database, static files as released."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

import requests
from django.conf import settings
from django.db import connection

from sandbox.client import Sandbox
from tests.stand_ins import STRIPE_KEY, WEBHOOK_SECRET

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
READY_SECONDS = 60
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class Web:
    """A shop that answers at `url`, and the file it logs to."""

    url: str
    log: Path

    @property
    def webhook_url(self) -> str:
        """Where Stripe's stand-in sends events."""
        return f"{self.url}/webhooks/stripe/"


@contextmanager
def serve(var: Path, sandbox: Sandbox) -> Iterator[Web]:
    """Run the shop on a free port, its files under `var`, with the stand-ins as its outside world."""
    with socket.create_server((HOST, 0)) as listener:
        web = Web(f"http://{HOST}:{listener.getsockname()[1]}", var / "web.log")
        environment = _environment(var, web.url, sandbox)
        _collect_static(environment)
        with web.log.open("wb") as log, _gunicorn(listener, environment, log) as process:
            try:
                _wait_until_ready(web, process)
                yield web
            finally:
                process.terminate()


def _environment(var: Path, url: str, sandbox: Sandbox) -> dict[str, str]:
    """The environment of a small real shop; the test run's database and keys, nothing else of the caller's."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "nodebyte.settings",
        "NODEBYTE_VAR": str(var),
        "DATABASE_URL": _database_url(connection.settings_dict),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
        "SITE_URL": url,
        "EMAIL_URL": f"smtp://{HOST}:{sandbox.smtp_port}",
        "STRIPE_API_BASE": sandbox.stripe_url,
        "STRIPE_SECRET_KEY": STRIPE_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


def _database_url(database: Mapping[str, object]) -> str:
    """The present test database; a server that listens in a folder is named as libpq does."""
    where = {"HOST": database["HOST"], "PORT": database["PORT"]}
    login = ":".join(quote(str(database[part]), safe="") for part in ("USER", "PASSWORD"))
    port = f":{where['PORT']}" if where["PORT"] else ""
    options = database["OPTIONS"]
    folder = options.get("host", "") if isinstance(options, dict) else ""
    query = f"?{urlencode({'host': folder})}" if folder else ""
    return f"postgresql://{login}@{where['HOST']}{port}/{database['NAME']}{query}"


def _collect_static(environment: Mapping[str, str]) -> None:
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def _gunicorn(listener: socket.socket, environment: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    bind = f"fd://{listener.fileno()}"
    command = [sys.executable, "-m", "gunicorn", "nodebyte.wsgi", "--bind", bind, "--threads", "4", "--timeout", "60"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=[listener.fileno()],
    )


def _wait_until_ready(web: Web, process: "subprocess.Popen[bytes]") -> None:
    """Ask once: the socket listens already, so the answer comes as soon as the shop is up."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            session.get(f"{web.url}/health/live", timeout=READY_SECONDS).raise_for_status()
        except requests.RequestException as error:
            raise RuntimeError(f"the shop did not come up ({process.poll()}):\n{web.log.read_text()}") from error
