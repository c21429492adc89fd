"""Backups: made by the node in its own time, with a throttle and a limit."""

import asyncio
import uuid

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import daemon, tokens
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.checks import is_true
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import DaemonError, PanelError, not_found, refusal
from sandbox.pterodactyl.listing import paginated
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Backup, Server
from sandbox.pterodactyl.transformers import item, timestamp
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
DEFAULT_PER_PAGE, MAX_PER_PAGE = 20, 50
LINK_SECONDS = 900.0


def backups_of(call: Call, server: Server) -> list[Backup]:
    """A server's backups without the deleted ones."""
    return call.panel.store.backups.where(server_id=server.id, deleted_at=None)


def find_backup(call: Call, server: Server) -> Backup:
    """The backup of the path. Raises a 404."""
    for backup in backups_of(call, server):
        if backup.uuid == call.params["backup"]:
            return backup
    raise not_found()


def counted(backups: list[Backup]) -> list[Backup]:
    """Those that count for limit and throttle: pending and successful ones, not failed ones."""
    return [backup for backup in backups if backup.completed_at is None or backup.is_successful]


@routes.add("GET", "/servers/{server}/backups")
async def index(call: Call) -> Response:
    """A server's backups, page by page."""
    found = backups_of(call, access.usable_server(call))
    answer = paginated(call, found, transformers.backup, default=DEFAULT_PER_PAGE, maximum=MAX_PER_PAGE)
    answer["meta"]["backup_count"] = len(counted(found))
    return JSONResponse(answer)


@routes.add("POST", "/servers/{server}/backups")
async def create(call: Call) -> Response:
    """Start a backup; it is complete when ``completed_at`` says so."""
    server, panel, fields = access.usable_server(call), call.panel, call.fields
    settings, now = panel.settings, panel.now()
    validate(fields, {"name": "nullable|string|max:191", "is_locked": "nullable|boolean", "ignored": "nullable|string"})
    # The throttle counts deleted backups too, and comes before the limit.
    since = now - settings.backup_throttle_seconds
    recent = [each for each in counted(panel.store.backups.where(server_id=server.id)) if each.created_at >= since]
    if len(recent) >= settings.backup_throttle_limit:
        headers = {"Retry-After": str(max(1, int(recent[-1].created_at - since)))}
        raise PanelError(429, "TooManyRequestsHttpException", "Too many backups were made lately.", headers)
    if len(counted(backups_of(call, server))) >= server.backup_limit:
        raise refusal("TooManyBackupsException", "The server has reached its backup limit.")
    await asyncio.sleep(settings.race_delay_ms / 1000)
    backup = panel.store.backups.add(
        Backup(
            server_id=server.id,
            uuid=str(uuid.uuid4()),
            name=fields.get("name") or f"Backup at {timestamp(now)}",
            ignored_files=[line for line in (fields.get("ignored") or "").splitlines() if line],
            is_locked=is_true(fields.get("is_locked")),
        )
    )
    answer = transformers.backup(backup)

    def begin() -> None:
        at = panel.now() + settings.backup_seconds
        daemon.schedule_job(panel, server, "backup", at=at, backup=backup.id, outcome=settings.backup_outcome)

    try:
        await daemon.call_for(panel, server, begin)
    except DaemonError:
        panel.store.backups.remove(backup)
        raise
    return JSONResponse(answer)


@routes.add("GET", "/servers/{server}/backups/{backup}")
async def show(call: Call) -> Response:
    """One backup."""
    return JSONResponse(transformers.backup(find_backup(call, access.usable_server(call))))


@routes.add("GET", "/servers/{server}/backups/{backup}/download")
async def download(call: Call) -> Response:
    """A link to the node that works once; given for a backup that is not finished, too."""
    server = access.usable_server(call)
    backup = find_backup(call, server)
    node_url, token = tokens.issue(call.panel, server, seconds=LINK_SECONDS, backup_uuid=backup.uuid)
    return JSONResponse(item("signed_url", {"url": f"{node_url}/download/backup?token={token}"}))


@routes.add("POST", "/servers/{server}/backups/{backup}/lock")
async def toggle_lock(call: Call) -> Response:
    """Lock an unlocked backup, and unlock a locked one."""
    backup = find_backup(call, access.usable_server(call))
    backup.is_locked = not backup.is_locked
    return JSONResponse(transformers.backup(backup))


@routes.add("POST", "/servers/{server}/backups/{backup}/restore")
async def restore(call: Call) -> Response:
    """Restore a backup's files; until the end the server's status says so."""
    server, panel = access.usable_server(call), call.panel
    backup = find_backup(call, server)
    validate(call.fields, {"truncate": "required|boolean"})
    if server.status is not None:
        raise refusal("BadRequestHttpException", "This server is not currently in a state that allows a restore.")
    if backup.completed_at is None:
        raise refusal("BadRequestHttpException", "This backup cannot be restored at this time: it is not completed.")
    at = panel.now() + panel.settings.restore_seconds
    detail = {"backup": backup.id, "truncate": is_true(call.fields["truncate"])}
    server.status = "restoring_backup"
    try:
        await daemon.call_for(panel, server, lambda: daemon.schedule_job(panel, server, "restore", at=at, **detail))
    except DaemonError:
        server.status = None
        raise
    return no_content()


@routes.add("DELETE", "/servers/{server}/backups/{backup}")
async def remove(call: Call) -> Response:
    """Delete an unlocked backup."""
    server = access.usable_server(call)
    backup = find_backup(call, server)
    if backup.is_locked:
        raise refusal("BackupLockedException", "Cannot delete a backup that is marked as locked.")
    await daemon.call_for(call.panel, server, lambda: None)
    backup.deleted_at = call.panel.now()
    return no_content()
