"""Mirroring what a provider has: read everything, stage it with COPY, merge it set-based."""

from servers.inventory.nodes import update_sellable
from servers.inventory.sync import SyncBusy, sync, sync_all

__all__ = ["SyncBusy", "sync", "sync_all", "update_sellable"]
