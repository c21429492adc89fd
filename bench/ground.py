"""Where a bench stands: its own PostgreSQL with fsync on, its own stand-ins, and Django set up on both.

The folder is always var/bench, whatever NODEBYTE_VAR says: its database is dropped at every start, and that must never
be a shop's.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from demo.places import HOST, free_port

from sandbox import client
from sandbox.client import Sandbox

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var" / "bench"
WEB_PORT = 8040
WEBHOOK_SECRET = "whsec_nodebyte_bench"
UNLIMITED = {"application": 10_000_000, "client": 10_000_000}
STOP_TRIES = 3


@dataclass(frozen=True)
class Ground:
    """What every bench may use."""

    var: Path
    sandbox: Sandbox
    database_url: str
    web_port: int

    @property
    def shop(self) -> str:
        """The address that a shop started on this ground answers at."""
        return f"http://{HOST}:{self.web_port}"

    def bare(self) -> "psycopg.Connection[tuple[object, ...]]":
        """A connection as any process of ours has it, without Django: the worker's role, autocommit."""
        connection = psycopg.connect(self.database_url, autocommit=True)
        connection.execute("SET ROLE nodebyte_worker")
        return connection


@contextmanager
def ground() -> Iterator[Ground]:
    """A fresh database, migrated and seeded with the demo's catalog and panel, beside running stand-ins."""
    shutil.rmtree(VAR / "queue", ignore_errors=True)
    VAR.mkdir(parents=True, exist_ok=True)
    with client.start() as (_process, sandbox):
        web_port = free_port(WEB_PORT)
        os.environ.update(environment(sandbox, web_port))
        try:
            url = _fresh_database()
            _set_up_django()
            _fill(sandbox)
            yield Ground(VAR, sandbox, url, web_port)
        finally:
            _stop_database()


def environment(sandbox: Sandbox, web_port: int) -> dict[str, str]:
    """What every process of a bench is told; a shop's own servers and keys are blanked out."""
    blanked = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "DEBUG", "ALLOWED_HOSTS", "TRUSTED_PROXY_COUNT"), "")
    return blanked | {
        "DJANGO_SETTINGS_MODULE": "nodebyte.settings",
        "NODEBYTE_VAR": str(VAR),
        "SITE_URL": f"http://{HOST}:{web_port}",
        "EMAIL_URL": f"smtp://{HOST}:{sandbox.smtp_port}",
        "STRIPE_API_BASE": sandbox.stripe_url,
        "STRIPE_SECRET_KEY": "sk_test_bench",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


def _fresh_database() -> str:
    from core import embedded

    url = embedded.url(VAR)
    with psycopg.connect(url.replace(f"/{embedded.DATABASE}?", "/postgres?"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {embedded.DATABASE} WITH (FORCE)")
    return embedded.url(VAR)


def _set_up_django() -> None:
    import django
    from django.conf import settings

    django.setup()
    settings.DATABASES["default"]["OPTIONS"]["pool"] |= {"max_size": 32}  # so that 16 threads measure us, not the pool
    settings.LOGGING_CONFIG = None
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]


def _fill(sandbox: Sandbox) -> None:
    from django.core.management import call_command

    keys = sandbox.panel_keys()
    os.environ |= {"PANEL_APPLICATION_KEY": keys["application"], "PANEL_CLIENT_KEY": keys["client"]}
    sandbox.panel_settings(rate_limits=UNLIMITED)
    with open(os.devnull, "w") as nowhere:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        call_command("seed", "--demo", "--panel-url", keys["url"], stdout=nowhere)


def _stop_database() -> None:
    from django.db import connections

    from core import embedded

    connections.close_all()
    for _ in range(STOP_TRIES):
        try:
            embedded.stop(VAR)
        except OSError:
            time.sleep(1)
        else:
            return
