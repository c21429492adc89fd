"""Health checks for load balancers and monitoring: alive, ready, and the database's latency."""

import time

from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core import tenancy


@tenancy.non_atomic_view
@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nothing else, so that a database outage does not restart the web."""
    return JsonResponse({"status": "ok"})


@tenancy.non_atomic_view
@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """The database is migrated, takes writes and shows customers their rows; 503 otherwise."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM core_setting LIMIT 1")
            # Neither statement leaves a row: the first spills a sort to the data disk, the second commits to the WAL.
            cursor.execute("SET LOCAL work_mem = '64kB'")
            cursor.execute("SELECT count(*) FROM generate_series(1, 10000)")
            cursor.execute("SELECT pg_logical_emit_message(true, 'health', 'ready')")
        tenancy.require_verified_binding()
    except (DatabaseError, tenancy.BindingRefused) as error:
        return _down(error)
    return JsonResponse({"status": "ok"})


@tenancy.non_atomic_view
@never_cache
@require_safe
def db(request: HttpRequest) -> JsonResponse:
    """`status`, `database` and `latency_ms` (whole milliseconds) of one round trip; 503 when there is none."""
    begun = time.perf_counter()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return _down(error)
    latency = round((time.perf_counter() - begun) * 1000)
    return JsonResponse({"status": "healthy", "database": "connected", "latency_ms": latency})


def _down(error: Exception) -> JsonResponse:
    return JsonResponse({"status": "unhealthy", "database": "disconnected", "error": type(error).__name__}, status=503)
