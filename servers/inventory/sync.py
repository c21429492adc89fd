"""One inventory sync: the network first, list by list, then one transaction that merges them."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError

from accounts.models import User
from core import clock, outside, tenancy, work
from core.outside import refuse_transaction
from servers import builds, outages
from servers.drivers import registry
from servers.drivers.base import Driver
from servers.inventory import tables
from servers.inventory.accounts import update_accounts
from servers.inventory.drift import record_findings
from servers.inventory.merge import Counts, Mirror, merge
from servers.inventory.nodes import lock_nodes, update_foreign, update_sellable
from servers.inventory.staging import lists_of, read_list, staging_tables
from servers.inventory.trust import require_trusted
from servers.locks import advisory_lock
from servers.models import Health, Provider, SyncKind, SyncRun, SyncState

log = logging.getLogger(__name__)
READ_PERCENT = 90  # of the progress; the rest is merging
# By the list that was read, in the order of merging.
MIRRORS: dict[str, tuple[tuple[str, Mirror], ...]] = {
    "locations": (("locations", tables.LOCATIONS),),
    "nodes": (("nodes", tables.NODES),),
    "servers": (("servers", tables.SERVERS),),
    "allocations": (("allocations", tables.ALLOCATIONS),),
    "nests": (("nests", tables.NESTS),),
    "eggs": (("eggs", tables.EGGS), ("variables", tables.VARIABLES)),
    "accounts": (("accounts", tables.ACCOUNTS),),
}


class SyncBusy(Exception):
    """Another sync of this provider is running."""


def request_sync(*, provider: Provider, kind: str, actor: User | None) -> SyncRun:
    """A pending run of this type, which `sync` or the next `sync_all` takes; the one that waits already, if any."""
    with tenancy.as_worker():
        pending = {"provider": provider, "kind": kind, "state": SyncState.PENDING}
        run, _created = SyncRun.objects.get_or_create(**pending, defaults={"requested_by": actor})
    return run


def sync(*, provider_id: UUID, at: datetime, kind: str = SyncKind.FULL) -> SyncRun:
    """Mirror what the provider has of this type, and record what differs from our rows.

    A provider that does not answer makes a failed run, not an exception. Never inside a transaction. Raises SyncBusy.
    """
    refuse_transaction("a provider")
    with advisory_lock(f"sync:{provider_id}") as is_locked:
        if not is_locked:
            raise SyncBusy(str(provider_id))
        began = time.monotonic()
        run, read_from = _start(provider_id, kind, at)
        try:
            driver = registry.driver_of(run.provider)
            lists = lists_of(driver, kind)
            with staging_tables(lists):
                _read(run, driver, lists)
                require_trusted(run.provider, lists, at=at)
                with tenancy.as_worker():
                    run.counts = merge_lists(provider_id, lists, read_from=read_from)
                    run.metadata["open_findings"] = record_findings(provider_id, lists, read_from=read_from, at=at)
                    finished = _finish(run, SyncState.COMPLETED, began)
            outages.record_answer(provider=run.provider, node=None)
            return finished
        except outside.OutsideError as error:
            outages.record_failure(error, provider=run.provider, node=None, at=at)
            return _finish(run, SyncState.FAILED, began, error=str(error))
        except (LookupError, TypeError, ValueError) as error:
            log.exception("the inventory of %s is not understood", run.provider.name)
            return _finish(run, SyncState.FAILED, began, error=f"{type(error).__name__}: {error}")
        except DatabaseError as error:  # nothing was merged; other providers' syncs go on
            log.exception("the inventory of %s cannot be stored", run.provider.name)
            run.counts = {}
            return _finish(run, SyncState.FAILED, began, error=type(error).__name__)


def sync_all(*, at: datetime, kind: str = SyncKind.FULL) -> list[SyncRun]:
    """What was asked for and this type of every active provider, one after another, but not where another process
    syncs."""
    runs = []

    def sync_one(wanted: tuple[UUID, str]) -> None:
        provider_id, kind = wanted
        try:
            runs.append(sync(provider_id=provider_id, kind=kind, at=at))
        except SyncBusy:
            log.info("provider %s is being synced already", provider_id)

    active = Provider.objects.filter(is_active=True).order_by("name").values_list("pk", flat=True)
    pending = SyncRun.objects.filter(state=SyncState.PENDING).order_by("pk").values_list("provider_id", "kind")
    wanted = dict.fromkeys([*pending, *((pk, str(kind)) for pk in active)])
    work.run_each(list(wanted), sync_one, name="sync")
    return runs


def merge_lists(provider_id: UUID, lists: Sequence[str], *, read_from: datetime) -> dict[str, Counts]:
    """Merge the staged lists into our tables, and compute again what can be sold; the counts of each table.

    `read_from` is the database's time when reading began.
    """
    counts = {}
    parameters = {"provider": provider_id, "read_from": read_from, "are_servers_read": "servers" in lists}
    if {"nodes", "servers", "allocations"} & set(lists):
        lock_nodes(provider_id)
    for name in lists:
        for table, mirror in MIRRORS.get(name, ()):
            counts[table] = merge(mirror, **parameters)
        if name == "servers":  # what is foreign is known now, and allocations come after nodes
            update_foreign(provider_id)
            update_sellable(provider_id)
    if "nodes" in lists and "servers" not in lists:
        update_sellable(provider_id)
    if "eggs" in lists:
        builds.check_blueprints(provider_id)
    if "accounts" in lists:
        update_accounts(provider_id)
    return counts


def _start(provider_id: UUID, kind: str, at: datetime) -> tuple[SyncRun, datetime]:
    """The run that was asked for, or a new one, and the database's time. The caller has the provider's lock."""
    with tenancy.as_worker():
        provider = Provider.objects.get(pk=provider_id)
        stopped = SyncRun.objects.filter(provider=provider, state=SyncState.RUNNING)
        stopped.update(state=SyncState.FAILED, finished_at=at, error="The process that ran it has ended.")
        run = SyncRun.objects.filter(provider=provider, kind=kind, state=SyncState.PENDING).first()
        run = run or SyncRun(provider=provider, kind=kind)
        run.transition_to(SyncState.RUNNING)
        run.started_at, run.provider = at, provider
        run.save()
    return run, clock.now()


def _read(run: SyncRun, driver: Driver, lists: Sequence[str]) -> None:
    """Stage the lists; the run says after each batch how far it is."""
    for number, name in enumerate(lists):
        began = time.monotonic()
        run.counts[name] = {"read": 0}
        for count in read_list(driver, name):
            run.counts[name]["read"] += count
            _save(run, "counts")
        run.metadata[name] = round(time.monotonic() - began, 3)
        run.progress_percent = READ_PERCENT * (number + 1) // len(lists)
        _save(run, "progress_percent", "counts", "metadata")


def _finish(run: SyncRun, state: SyncState, began: float, error: str = "") -> SyncRun:
    run.transition_to(state)
    run.error, run.progress_percent = error, 100 if state == SyncState.COMPLETED else run.progress_percent
    run.finished_at = (run.started_at or run.created_at) + timedelta(seconds=time.monotonic() - began)
    health = Health.HEALTHY if state == SyncState.COMPLETED else Health.FAILING
    with tenancy.as_worker():
        _save(run, "state", "error", "counts", "metadata", "progress_percent", "finished_at")
        columns = {"health": health, "health_note": error[:255], "checked_at": run.started_at}
        Provider.objects.filter(pk=run.provider_id).update(**columns)
    return run


def _save(run: SyncRun, *fields: str) -> None:
    with tenancy.as_worker():
        run.save(update_fields=fields)
