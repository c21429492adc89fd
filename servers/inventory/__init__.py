"""Mirroring what a provider has: pull everything, stage it with COPY, merge it set-based."""

from servers.inventory.sync import SyncBusy, sync, sync_all

__all__ = ["SyncBusy", "sync", "sync_all"]
