"""Celery tasks of servers."""

from uuid import UUID

from celery import shared_task

from core import clock
from servers import convergence, draining, inventory
from servers.hytale import tokens
from servers.live import history, node_load, usage
from servers.models import SyncKind
from servers.self_service import operations


@shared_task(acks_late=True)
def sync_inventory() -> int:
    """Mirror every active provider; the number of syncs."""
    return len(inventory.sync_all(at=clock.now()))


@shared_task(acks_late=True)
def sync_provider(provider_id: str, kind: str = SyncKind.FULL) -> str:
    """Mirror one provider; the run's state, or "busy" while another process is syncing it."""
    try:
        return str(inventory.sync(provider_id=UUID(provider_id), kind=kind, at=clock.now()).state)
    except inventory.SyncBusy:
        return "busy"


@shared_task(acks_late=True)
def recheck_servers() -> int:
    """Converge servers that were not observed lately; their number."""
    return convergence.request_recheck(at=clock.now())


@shared_task
def sample_running() -> int:
    """Have running servers sampled that are not yet; their number."""
    return usage.sample_running(at=clock.now())


@shared_task(acks_late=True)
def renew_hytale_sign_ins() -> int:
    """Renew the sign-ins of Hytale accounts before they end; how many."""
    return tokens.renew_due(at=clock.now())


@shared_task
def advance_drains() -> int:
    """Reserve elsewhere for servers of nodes that are drained; how many."""
    return draining.advance(at=clock.now())


@shared_task
def measure_nodes() -> int:
    """Find out which nodes are busy; how many became so or no longer are."""
    return node_load.measure(at=clock.now())


@shared_task
def purge_history() -> int:
    """Delete what old syncs wrote, usage that is shown nowhere any more, and what was inside servers; how many rows."""
    at = clock.now()
    return inventory.purge_sync_history(at=at) + history.purge(at=at) + operations.forget(at=at)
