"""One inventory pull: the network first, then one transaction."""

import logging
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError

from core import outside, tenancy
from servers import locks
from servers.drivers import registry
from servers.drivers.base import Inventory
from servers.drivers.guard import refuse_transaction
from servers.inventory.games import merge_games
from servers.inventory.places import merge_places
from servers.models import Health, Provider, SyncKind, SyncRun, SyncState

log = logging.getLogger(__name__)


class SyncBusy(Exception):
    """Another pull of this provider is going on."""


def sync(*, provider_id: UUID, at: datetime) -> SyncRun:
    """Mirror the provider's locations, nodes, ports, nests and eggs; the run tells what came and what is odd.

    A provider that does not answer makes a failed run, not an exception. Never inside a transaction. Raises SyncBusy.
    """
    refuse_transaction()
    with locks.held(f"sync:{provider_id}") as is_ours:
        if not is_ours:
            raise SyncBusy(str(provider_id))
        began = time.monotonic()
        provider = Provider.objects.get(pk=provider_id)
        with tenancy.as_worker():
            run = SyncRun.objects.create(provider=provider, kind=SyncKind.FULL, started_at=at)
        try:
            seen = registry.driver_of(provider).inventory()
        except outside.OutsideError as error:
            return _failed(run, began, str(error))
        except (KeyError, TypeError, ValueError) as error:
            log.exception("the inventory of %s is not understood", provider.name)
            return _failed(run, began, f"{type(error).__name__}: {error}")
        try:
            return _merged(run, began, seen)
        except DatabaseError as error:  # nothing was taken over; other providers' pulls go on
            log.exception("the inventory of %s cannot be stored", provider.name)
            return _failed(run, began, type(error).__name__)


def sync_all(*, at: datetime) -> list[SyncRun]:
    """Every active provider, one after another; one that another process is pulling is left to it."""
    runs = []
    for pk in list(Provider.objects.filter(is_active=True).order_by("name").values_list("pk", flat=True)):
        try:
            runs.append(sync(provider_id=pk, at=at))
        except SyncBusy:
            log.info("provider %s is being synced already", pk)
    return runs


def _merged(run: SyncRun, began: float, seen: Inventory) -> SyncRun:
    with tenancy.as_worker():
        place_counts, place_findings = merge_places(run.provider_id, seen)
        game_counts, game_findings = merge_games(run.provider_id, seen)
        run.counts = {**place_counts, **game_counts}
        run.findings = [*place_findings, *game_findings]
        run.state = SyncState.COMPLETED
        return _ended(run, began, Health.HEALTHY)


def _failed(run: SyncRun, began: float, error: str) -> SyncRun:
    run.state, run.error = SyncState.FAILED, error
    with tenancy.as_worker():
        return _ended(run, began, Health.FAILING)


def _ended(run: SyncRun, began: float, health: Health) -> SyncRun:
    run.finished_at = run.started_at + timedelta(seconds=time.monotonic() - began)
    run.save(update_fields=["state", "error", "counts", "findings", "finished_at"])
    note, checked_at = run.error[:255], run.started_at
    Provider.objects.filter(pk=run.provider_id).update(health=health, health_note=note, checked_at=checked_at)
    return run
