"""Backups and restores: work of the node that ends later."""

import hashlib
import json
from typing import TYPE_CHECKING

from sandbox.pterodactyl.rows import Backup, Due, Server

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel


def on_backup_due(panel: "Panel", due: Due, server: Server) -> None:
    """End a backup; a failed one is empty, without checksum, and unlocked."""
    backup = panel.store.backups.get(due.detail["backup"])
    if backup is None or backup.deleted_at is not None:
        return
    backup.completed_at = due.due_at
    backup.is_successful = due.detail["outcome"] == "success"
    if backup.is_successful:
        fill(backup, server)
    else:
        backup.is_locked = False
    panel.store.backups.touch(backup)
    panel.emit(server, f"backup completed:{backup.uuid}", json.dumps(report(backup)))


def fill(backup: Backup, server: Server) -> None:
    """Copy the server's files, those left out excepted."""
    kept = {
        path: text
        for path, text in server.runtime.files.items()
        if not any(pattern and path.lstrip("/").startswith(pattern.strip("/*")) for pattern in backup.ignored_files)
    }
    written = json.dumps(kept, sort_keys=True).encode()
    backup.files = kept
    backup.size_bytes = len(written)
    backup.checksum = "sha1:" + hashlib.sha1(written, usedforsecurity=False).hexdigest()


def report(backup: Backup) -> dict[str, object]:
    """What the console hears about a finished backup."""
    return {
        "uuid": backup.uuid,
        "is_successful": backup.is_successful,
        "checksum": (backup.checksum or "").removeprefix("sha1:"),
        "checksum_type": "sha1",
        "file_size": backup.size_bytes,
    }


def on_restore_due(panel: "Panel", due: Due, server: Server) -> None:
    """End a restore; the status becomes null, even if the server was suspended meanwhile."""
    backup = panel.store.backups.get(due.detail["backup"])
    kept = {} if due.detail["truncate"] else server.runtime.files
    if backup is not None:
        server.runtime.files = {**kept, **backup.files}
    server.status = None
    panel.store.servers.touch(server)
    panel.emit(server, "backup restore completed")
