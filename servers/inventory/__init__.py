"""Mirroring what a provider has: read list by list, staged with COPY, merged set-based, and compared with our rows."""

from servers.inventory.drift import close_foreign_findings
from servers.inventory.nodes import lock_nodes, recount, update_sellable
from servers.inventory.retention import purge_sync_history
from servers.inventory.sync import SyncBusy, request_sync, sync, sync_all

__all__ = [
    "SyncBusy",
    "close_foreign_findings",
    "lock_nodes",
    "purge_sync_history",
    "recount",
    "request_sync",
    "sync",
    "sync_all",
    "update_sellable",
]
