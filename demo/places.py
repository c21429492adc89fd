"""Where a demo lives: its folder, its ports, its lock, and the environment its processes share."""

import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.crew import Failed
from sandbox.client import Sandbox

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
WEB_PORT, SANDBOX_PORT = 8000, 8001
PORT_STEP, PORT_TRIES = 10, 50
KEPT = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "DATABASE_URL", "REDIS_URL", "XDG_RUNTIME_DIR"}
WEBHOOK_PATH = "/webhooks/stripe/"


@dataclass(frozen=True)
class Places:
    """One demo's folder and addresses."""

    var: Path
    web_port: int
    sandbox_port: int
    webhook_secret: str

    @property
    def shop(self) -> str:
        """The shop's address."""
        return f"http://{HOST}:{self.web_port}"

    @property
    def sandbox(self) -> str:
        """The sandbox's address."""
        return f"http://{HOST}:{self.sandbox_port}"

    @property
    def webhook_url(self) -> str:
        """Where Stripe's stand-in sends events."""
        return self.shop + WEBHOOK_PATH

    def environment(self) -> dict[str, str]:
        """What every process gets: little of the caller's, so that a real shop's keys never reach the demo."""
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
        return kept | {
            "NODEBYTE_VAR": str(self.var),
            "SITE_URL": self.shop,
            "DEFAULT_FROM_EMAIL": "NodeByte <shop@nodebyte.test>",
        }

    def shop_environment(self, sandbox: Sandbox) -> dict[str, str]:
        """What the shop's own processes get besides: the stand-ins' addresses and keys."""
        return {
            "EMAIL_URL": f"smtp://{HOST}:{sandbox.smtp_port}",
            "STRIPE_API_BASE": sandbox.stripe_url,
            "STRIPE_SECRET_KEY": "sk_test_demo",
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
        }

    def forget_nudges(self) -> None:
        """Drop the file queue of an earlier run: work is in the database, and a half-written message helps nobody."""
        shutil.rmtree(self.var / "queue", ignore_errors=True)


@contextmanager
def places() -> Iterator[Places]:
    """Take the demo's folder for this process alone. Raises Failed when another demo has it."""
    var = Path(os.environ.get("NODEBYTE_VAR") or ROOT / "var" / "demo").resolve()
    var.mkdir(parents=True, exist_ok=True)
    with (var / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failed(f"another demo runs in {var}; stop it, or give this one a folder in NODEBYTE_VAR.") from error
        yield Places(var, free_port(WEB_PORT), free_port(SANDBOX_PORT), _kept_secret(var / "stripe_webhook_secret"))


def free_port(preferred: int) -> int:
    """`preferred`, or one ten, twenty … above it that nobody listens on; else whichever the system gives."""
    for port in range(preferred, preferred + PORT_STEP * PORT_TRIES, PORT_STEP):
        if _is_free(port):
            return port
    with socket.create_server((HOST, 0)) as taken:
        found: int = taken.getsockname()[1]
    return found


def _is_free(port: int) -> bool:
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False


def _kept_secret(path: Path) -> str:
    if not path.exists():
        path.write_text(f"whsec_{secrets.token_urlsafe(24)}")
        path.chmod(0o600)
    return path.read_text()
