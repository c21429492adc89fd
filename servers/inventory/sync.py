"""One inventory sync: the network first, then one transaction."""

import logging
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError

from core import outside, tenancy, work
from core.outside import refuse_transaction
from servers.drivers import registry
from servers.inventory.eggs import blueprint_findings, egg_findings, merge_eggs
from servers.inventory.nodes import merge_allocations, merge_nodes
from servers.inventory.read import read_inventory
from servers.locks import advisory_lock
from servers.models import Health, Provider, SyncKind, SyncRun, SyncState

log = logging.getLogger(__name__)


class SyncBusy(Exception):
    """Another sync of this provider is running."""


def sync(*, provider_id: UUID, at: datetime) -> SyncRun:
    """Mirror the provider's locations, nodes, ports, nests and eggs; the run says what was read and what is odd.

    A provider that does not answer makes a failed run, not an exception. Never inside a transaction. Raises SyncBusy.
    """
    refuse_transaction("a provider")
    with advisory_lock(f"sync:{provider_id}") as is_locked:
        if not is_locked:
            raise SyncBusy(str(provider_id))
        started = time.monotonic()
        provider = Provider.objects.get(pk=provider_id)
        with tenancy.as_worker():
            run = SyncRun.objects.create(provider=provider, kind=SyncKind.FULL, started_at=at)
        try:
            remote = read_inventory(registry.driver_of(provider))
        except outside.OutsideError as error:
            return _finish(run, Health.FAILING, started, error=str(error))
        except (KeyError, TypeError, ValueError) as error:
            log.exception("the inventory of %s is not understood", provider.name)
            return _finish(run, Health.FAILING, started, error=f"{type(error).__name__}: {error}")
        try:
            with tenancy.as_worker():
                counts, findings = merge_nodes(provider_id, remote)
                run.counts = {**counts, **merge_allocations(provider_id, remote), **merge_eggs(provider_id, remote)}
                run.findings = [*findings, *egg_findings(remote.eggs), *blueprint_findings(provider_id)]
                return _finish(run, Health.HEALTHY, started)
        except DatabaseError as error:  # nothing was merged; other providers' syncs go on
            log.exception("the inventory of %s cannot be stored", provider.name)
            return _finish(run, Health.FAILING, started, error=type(error).__name__)


def sync_all(*, at: datetime) -> list[SyncRun]:
    """Every active provider, one after another, except those that another process is syncing."""
    runs = []

    def sync_one(pk: UUID) -> None:
        try:
            runs.append(sync(provider_id=pk, at=at))
        except SyncBusy:
            log.info("provider %s is being synced already", pk)

    active = Provider.objects.filter(is_active=True).order_by("name")
    work.run_each(list(active.values_list("pk", flat=True)), sync_one, name="sync")
    return runs


def _finish(run: SyncRun, health: Health, started: float, error: str = "") -> SyncRun:
    run.state, run.error = SyncState.COMPLETED if health == Health.HEALTHY else SyncState.FAILED, error
    run.finished_at = run.started_at + timedelta(seconds=time.monotonic() - started)
    with tenancy.as_worker():
        run.save(update_fields=["state", "error", "counts", "findings", "finished_at"])
        note, checked_at = run.error[:255], run.started_at
        Provider.objects.filter(pk=run.provider_id).update(health=health, health_note=note, checked_at=checked_at)
    return run
