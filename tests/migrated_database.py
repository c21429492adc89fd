"""A migrated database for the workers to copy: migrating takes 15 seconds of a core, copying less than one."""

import hashlib
from pathlib import Path

from django.db import connection
from django.test.utils import setup_databases

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "migrated_"
UNFINISHED = f"{PREFIX}unfinished"
LOCK = 20_260_301  # of pg_advisory_lock: one worker migrates, the others wait
SOURCES = ("*/migrations/*.py", "*/models.py", "*/models/**/*.py", "core/**/*.py", "requirements.txt")


def ensure_template() -> str:
    """The name of a database migrated from the present files. Databases of earlier files are dropped."""
    name = PREFIX + _checksum()
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
        present = {row[0] for row in cursor.fetchall()}
        if name not in present:
            for earlier in present:
                cursor.execute(f"DROP DATABASE {earlier}")
            _migrate(UNFINISHED)
            cursor.execute(f"ALTER DATABASE {UNFINISHED} RENAME TO {name}")
    return name


def _migrate(name: str) -> None:
    """Create a database and migrate it; the connection's settings stay as they were."""
    database = connection.settings_dict
    before, test_name = database["NAME"], database["TEST"]["NAME"]
    database["TEST"]["NAME"] = name
    setup_databases(verbosity=0, interactive=False, keepdb=False, serialized_aliases=set())
    connection.close()
    database["NAME"], database["TEST"]["NAME"] = before, test_name


def _checksum() -> str:
    """Of all that the migrated database is made from."""
    paths = sorted({path for pattern in SOURCES for path in ROOT.glob(pattern) if ".venv" not in path.parts})
    parts = (f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes() for path in paths)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
