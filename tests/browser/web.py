"""The shop as it really runs: gunicorn and a worker in processes of their own, over the test database."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
from django.conf import settings

from sandbox.client import Sandbox
from tests.processes import database_variables
from tests.sandbox_fixtures import STRIPE_KEY, WEBHOOK_SECRET

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
READY_SECONDS = 60
STOP_SECONDS = 20
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class Web:
    """A shop that answers at `url`, the file it logs to, the environment variables of its processes, and the socket of
    its relay of consoles, which listens also while no relay runs."""

    url: str
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    relay: socket.socket = field(repr=False)

    @property
    def webhook_url(self) -> str:
        """Where Stripe's stand-in sends events."""
        return f"{self.url}/webhooks/stripe/"


@contextmanager
def serve(var: Path, sandbox: Sandbox) -> Iterator[Web]:
    """Run the shop on a free port, its files under `var`, with the stand-ins as its outside world."""
    with socket.create_server((HOST, 0)) as listener, socket.create_server((HOST, 0)) as relay:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        relay_url = {"CONSOLE_RELAY_URL": f"ws://{HOST}:{relay.getsockname()[1]}"}
        web = Web(url, var / "web.log", _environment(var, url, sandbox) | relay_url, relay)
        collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(collect, cwd=ROOT, env=web.environment, check=True)
        bind = f"fd://{listener.fileno()}"
        gunicorn = [
            "-m",
            "gunicorn",
            "-c",
            "python:nodebyte.web_server",
            "nodebyte.wsgi",
            "--bind",
            bind,
            "--workers",
            "1",
        ]
        with web.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *gunicorn],
                cwd=ROOT,
                env=web.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
            )
        with process:
            try:
                _wait_until_ready(web, process)
                yield web
            finally:
                process.terminate()


@contextmanager
def working(web: Web) -> Iterator[None]:
    """A worker of the shop; stopped at the end, when it has finished what it does."""
    with _running(web, "worker"):
        yield


@contextmanager
def relaying(web: Web) -> Iterator[None]:
    """The shop's relay of consoles. Its socket listens already, so browsers wait until it is up."""
    with _running(web, "console_relay", "--fd", str(web.relay.fileno())):
        yield


@contextmanager
def _running(web: Web, command: str, *options: str) -> Iterator[None]:
    """A process of the shop besides the web's; stopped at the end."""
    log = web.log.with_name(f"{command}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", command, *options],
            cwd=ROOT,
            env=web.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[web.relay.fileno()],
        )
    try:
        yield
    finally:
        process.terminate()
        code = process.wait(STOP_SECONDS)
    assert code in {0, -signal.SIGTERM}, log.read_text()[-3000:]


def _environment(var: Path, url: str, sandbox: Sandbox) -> dict[str, str]:
    """The environment of a small real shop; the test run's database and keys, nothing else of the caller's."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return (
        inherited
        | database_variables()
        | {
            "DJANGO_SETTINGS_MODULE": "nodebyte.settings",
            "NODEBYTE_VAR": str(var),
            "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
            "SITE_URL": url,
            "EMAIL_URL": f"smtp://{HOST}:{sandbox.smtp_port}",
            "STRIPE_API_BASE": sandbox.stripe_url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "TRIPAY_API_BASE": sandbox.tripay_url,
        }
    )


def _wait_until_ready(web: Web, process: "subprocess.Popen[bytes]") -> None:
    """Ask once: the socket listens already, so the answer comes as soon as the shop is up."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            session.get(f"{web.url}/health/live", timeout=READY_SECONDS).raise_for_status()
        except requests.RequestException as error:
            raise RuntimeError(f"the shop did not come up ({process.poll()}):\n{web.log.read_text()}") from error
