"""A demo's folder, ports and lock, and the environment variables of its processes."""

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.processes import DemoError
from sandbox.client import Sandbox
from sandbox.games import GameServer

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
WEB_PORT, SANDBOX_PORT, RELAY_PORT = 8000, 8001, 8002
PORT_STEP, PORT_TRIES = 10, 50
INHERITED = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "XDG_RUNTIME_DIR"}
BACKLOG = 512
WEBHOOK_PATH = "/webhooks/stripe/"


@dataclass(frozen=True)
class Environment:
    """One demo's folder, the sockets it listens on, and the game that answers for all games.

    Nobody else can take a port while the demo starts.
    """

    var: Path
    web: socket.socket
    sandbox: socket.socket
    games: GameServer
    relay: socket.socket
    webhook_secret: str

    @property
    def shop_url(self) -> str:
        """The shop's address."""
        return f"http://{HOST}:{self.web.getsockname()[1]}"

    @property
    def sandbox_url(self) -> str:
        """The sandbox's address."""
        return f"http://{HOST}:{self.sandbox.getsockname()[1]}"

    @property
    def webhook_url(self) -> str:
        """Where Stripe's stand-in sends events."""
        return self.shop_url + WEBHOOK_PATH

    def variables(self) -> dict[str, str]:
        """For every process: few of the caller's variables, so that a real shop's keys never reach the demo."""
        inherited = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}
        return inherited | {
            "NODEBYTE_VAR": str(self.var),
            "REDIS_URL": os.environ.get("DEMO_REDIS_URL", ""),
            "SITE_URL": self.shop_url,
            "CONSOLE_RELAY_URL": f"ws://{HOST}:{self.relay.getsockname()[1]}",
            "DEFAULT_FROM_EMAIL": "NodeByte <shop@nodebyte.test>",
        }

    def shop_variables(self, sandbox: Sandbox) -> dict[str, str]:
        """For the shop's own processes: the stand-ins' addresses and keys."""
        return {
            "EMAIL_URL": f"smtp://{HOST}:{sandbox.smtp_port}",
            "STRIPE_API_BASE": sandbox.stripe_url,
            "PAYPAL_API_BASE": sandbox.paypal_url,
            "TRIPAY_API_BASE": sandbox.tripay_url,
            **dict.fromkeys(("HYTALE_OAUTH_BASE", "HYTALE_ACCOUNT_BASE", "HYTALE_SESSIONS_BASE"), sandbox.hytale_url),
            "GAME_STAND_IN": f"game://{HOST}:{self.games.address[1]}",
            "STRIPE_SECRET_KEY": "sk_test_demo",
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
        }


@contextmanager
def locked_environment() -> Iterator[Environment]:
    """The environment, with its folder locked for this process. Raises DemoError when another demo has the lock."""
    var = Path(os.environ.get("NODEBYTE_VAR") or ROOT / "var" / "demo").resolve()
    var.mkdir(parents=True, exist_ok=True)
    if (var / "postgres").exists() and not (var / "demo.lock").exists():
        raise DemoError(f"{var} holds a shop's database; give the demo a folder of its own in NODEBYTE_VAR.")
    with (var / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another demo runs in {var}; stop it, or give this one a folder in NODEBYTE_VAR."
            raise DemoError(message) from error
        secret = var / "stripe_webhook_secret"
        if not secret.exists():
            secret.write_text(f"whsec_{secrets.token_urlsafe(24)}")
            secret.chmod(0o600)
        with (
            listen(WEB_PORT) as web,
            listen(SANDBOX_PORT) as sandbox,
            listen(RELAY_PORT) as relay,
            GameServer(HOST) as games,
        ):
            yield Environment(var, web, sandbox, games, relay, secret.read_text())


def listen(preferred: int) -> socket.socket:
    """A socket on port `preferred`, or on the first free one ten, twenty … above it; else on any free one."""
    for port in (*range(preferred, preferred + PORT_STEP * PORT_TRIES, PORT_STEP), 0):
        try:
            return socket.create_server((HOST, port), backlog=BACKLOG)
        except OSError:
            continue
    raise DemoError("no port is free.")
