"""The one clock: the database's. What begins a run reads it, and passes it on as `at`.

So leases, due times and deadlines mean the same to every process, also where a machine's own clock is wrong.
"""

from datetime import datetime

from django.db import connections

from core import tenancy


def now() -> datetime:
    """The database's time at this call, also within a transaction."""
    with connections[tenancy.database_of(tenancy.current())].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at
