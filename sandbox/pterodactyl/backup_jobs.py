"""How backups and restores end on the node."""

import hashlib
import json

from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Job, Server


def end_backup(panel: Panel, job: Job, server: Server) -> None:
    """Complete a backup; a failed one is empty, has no checksum and is unlocked."""
    backup = panel.store.backups.get(job.detail["backup"])
    if backup is None or backup.deleted_at is not None:
        return
    backup.completed_at = job.due_at
    backup.is_successful = job.detail["outcome"] == "success"
    if backup.is_successful:
        ignored = [pattern.strip("/*") for pattern in backup.ignored_files if pattern]
        for path, text in server.runtime.files.items():
            if not any(path.lstrip("/").startswith(prefix) for prefix in ignored):
                backup.files[path] = text
        archive = json.dumps(backup.files, sort_keys=True).encode()
        backup.size_bytes = len(archive)
        backup.checksum = "sha1:" + hashlib.sha1(archive, usedforsecurity=False).hexdigest()
    else:
        backup.is_locked = False
    panel.store.backups.touch(backup)
    report = {
        "uuid": backup.uuid,
        "is_successful": backup.is_successful,
        "checksum": (backup.checksum or "").removeprefix("sha1:"),
        "checksum_type": "sha1",
        "file_size": backup.size_bytes,
    }
    panel.emit(server, f"backup completed:{backup.uuid}", json.dumps(report))


def end_restore(panel: Panel, job: Job, server: Server) -> None:
    """Complete a restore; the status becomes null, even if the server was suspended meanwhile."""
    backup = panel.store.backups.get(job.detail["backup"])
    if backup is not None:
        kept = {} if job.detail["truncate"] else server.runtime.files
        server.runtime.files = {**kept, **backup.files}
    server.status = None
    panel.store.servers.touch(server)
    panel.emit(server, "backup restore completed")
