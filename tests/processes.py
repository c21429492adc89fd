"""Processes of the shop that work in the database of this test run."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection

from core.postgresql import logins

ROOT = Path(__file__).resolve().parents[1]


def database_url(user: str = "") -> str:
    """The present test database for a login, the suite's own by default; a server's folder is named as libpq does."""
    database = connection.settings_dict
    password = "" if user else database["PASSWORD"]
    login = ":".join(quote(str(part), safe="") for part in (user or database["USER"], password))
    port = f":{database['PORT']}" if database["PORT"] else ""
    folder = database["OPTIONS"].get("host", "")
    query = f"?{urlencode({'host': folder})}" if folder else ""
    return f"postgresql://{login}@{database['HOST']}{port}/{database['NAME']}{query}"


def database_variables() -> dict[str, str]:
    """The environment variables with the logins of a process, and its keys."""
    return {
        "DATABASE_URL": database_url(logins.WORKER_LOGIN),
        "DATABASE_CUSTOMER_URL": database_url(logins.CUSTOMER_LOGIN),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
    }


def start_worker(folder: Path) -> "subprocess.Popen[bytes]":
    """`manage.py worker` with its own files in this folder; it logs to `worker.log` there.

    In a session of its own: who interrupts the run, or anything else of its process group, does not interrupt it.
    """
    environment = os.environ | database_variables() | {"NODEBYTE_VAR": str(folder), "REDIS_URL": ""}
    command = [sys.executable, "manage.py", "worker"]
    with (folder / "worker.log").open("wb") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
