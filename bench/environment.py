"""Where a bench runs: a PostgreSQL of its own with fsync on, stand-ins of its own, and Django set up on both.

The folder is always var/bench, whatever NODEBYTE_VAR says: its database is dropped at every start, and that must never
be a shop's.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from core import embedded
from core.postgresql import logins
from demo.environment import HOST, listen
from sandbox import client
from sandbox.client import Sandbox

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var" / "bench"
WEB_PORT = 8040
WEBHOOK_SECRET = "whsec_nodebyte_bench"
UNLIMITED = {"application": 10_000_000, "client": 10_000_000}


@dataclass(frozen=True)
class Environment:
    """What every bench may use."""

    sandbox: Sandbox
    web: socket.socket

    @property
    def web_port(self) -> int:
        """The port that the shop answers on once it is started."""
        port: int = self.web.getsockname()[1]
        return port

    @property
    def shop_url(self) -> str:
        """The address that the shop answers at once it is started."""
        return f"http://{HOST}:{self.web_port}"

    def bare_connection(self) -> "psycopg.Connection[tuple[object, ...]]":
        """A connection without Django, otherwise like any of ours: the worker's login, autocommit."""
        return psycopg.connect(embedded.url(VAR, logins.WORKER_LOGIN), autocommit=True)


@contextmanager
def bench_environment() -> Iterator[Environment]:
    """A new database, migrated and seeded with the demo's catalog and panel, beside running stand-ins."""
    VAR.mkdir(parents=True, exist_ok=True)
    with client.start() as (_process, sandbox), listen(WEB_PORT) as web:
        environment = Environment(sandbox, web)
        os.environ.update(variables(sandbox, environment.web_port))
        embedded.start(VAR)
        try:
            with psycopg.connect(embedded.url(VAR, embedded.SUPERUSER, "postgres"), autocommit=True) as connection:
                (VAR / "audit_head.json").unlink(missing_ok=True)
                connection.execute(f"DROP DATABASE {embedded.DATABASE} WITH (FORCE)")
            embedded.start(VAR)  # creates it again
            set_up_shop(sandbox)
            yield environment
        finally:
            embedded.stop(VAR)


BLANKED: tuple[str, ...] = (
    "DATABASE_URL",
    "DATABASE_CUSTOMER_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "DEBUG",
    "ALLOWED_HOSTS",
)
BLANKED += ("TRUSTED_PROXY_COUNT",)


def variables(sandbox: Sandbox, web_port: int) -> dict[str, str]:
    """The environment variables of every process of a bench; a shop's own servers and keys are blanked out."""
    blank = dict.fromkeys(BLANKED, "")
    return blank | {
        "DJANGO_SETTINGS_MODULE": "nodebyte.settings",
        "NODEBYTE_VAR": str(VAR),
        "SITE_URL": f"http://{HOST}:{web_port}",
        "EMAIL_URL": f"smtp://{HOST}:{sandbox.smtp_port}",
        "STRIPE_API_BASE": sandbox.stripe_url,
        "STRIPE_SECRET_KEY": "sk_test_bench",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


def set_up_shop(sandbox: Sandbox) -> None:
    """Set Django up on this environment; migrate and seed."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    # So that 16 threads measure our code and not the waiting for a connection.
    settings.DATABASES["default"]["OPTIONS"]["pool"] |= {"max_size": 32}
    settings.LOGGING_CONFIG = None
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    keys = sandbox.panel_keys()
    os.environ |= {"PANEL_APPLICATION_KEY": keys["application"], "PANEL_CLIENT_KEY": keys["client"]}
    sandbox.panel_settings(rate_limits=UNLIMITED)
    with open(os.devnull, "w") as nowhere:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        call_command("seed", "--demo", "--panel-url", keys["url"], stdout=nowhere)
