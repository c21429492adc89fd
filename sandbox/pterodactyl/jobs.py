"""The nodes' planned work, done when the sandbox clock reaches it."""

from collections.abc import Callable

from sandbox.pterodactyl import backup_jobs, lifecycle, power
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Job, Server

JOBS: dict[str, Callable[[Panel, Job, Server], None]] = {
    "install": lifecycle.end_install,
    "power": power.end_power_change,
    "backup": backup_jobs.end_backup,
    "restore": backup_jobs.end_restore,
}


def run_due(panel: Panel) -> None:
    """Do all that is due by the clock, oldest first, and save the outcome."""
    is_changed = False
    while due := [job for job in panel.store.jobs if job.due_at <= panel.now()]:
        job = min(due, key=lambda each: (each.due_at, each.id))
        panel.store.jobs.remove(job)
        server = panel.store.servers.get(job.server_id)
        if server is not None:
            JOBS[job.kind](panel, job, server)
        is_changed = True
    if is_changed:
        panel.save()
