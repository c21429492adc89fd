"""Backups: made by the node in its own time, throttled and limited by the panel."""

import asyncio
import uuid

from starlette.responses import Response

from sandbox.pterodactyl import daemon, tokens
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.errors import DaemonFailure, PanelError, missing, refusal
from sandbox.pterodactyl.listing import page_of, per_page
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Backup, Server
from sandbox.pterodactyl.times import stamp
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
DEFAULT_PER_PAGE, MOST_PER_PAGE = 20, 50
LINK_SECONDS = 900.0


def kept(call: Call, server: Server) -> list[Backup]:
    """A server's backups without the deleted ones."""
    return call.panel.store.backups.where(server_id=server.id, deleted_at=None)


def named(call: Call, server: Server) -> Backup:
    """The backup of the path. Raises a 404."""
    for backup in kept(call, server):
        if backup.uuid == call.params["backup"]:
            return backup
    raise missing()


@routes.add("GET", "/servers/{server}/backups")
async def index(call: Call) -> Response:
    """A server's backups, page by page."""
    found = kept(call, access.server_for(call, "backup.read"))
    size = per_page(call, default=DEFAULT_PER_PAGE, most=MOST_PER_PAGE)
    answer = page_of(call, found, shapes.backup, size=size)
    answer["meta"]["backup_count"] = len([each for each in found if is_counted(each)])
    return reply(answer)


@routes.add("POST", "/servers/{server}/backups")
async def create(call: Call) -> Response:
    """Start a backup; it is complete when ``completed_at`` says so."""
    server, panel = access.server_for(call, "backup.create"), call.panel
    validate(
        call.fields, {"name": "nullable|string|max:191", "is_locked": "nullable|boolean", "ignored": "nullable|string"}
    )
    refuse_throttled(call, server)
    if len([each for each in kept(call, server) if is_counted(each)]) >= server.backup_limit:
        raise refusal("TooManyBackupsException", "The server has reached its backup limit.")
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    backup = panel.store.backups.add(
        Backup(
            server_id=server.id,
            uuid=str(uuid.uuid4()),
            name=call.fields.get("name") or "Backup at " + str(stamp(panel.now())),
            ignored_files=[line for line in (call.fields.get("ignored") or "").splitlines() if line],
            is_locked=call.fields.get("is_locked") in (True, 1, "1"),
        )
    )
    answer = shapes.backup(backup)
    try:
        await daemon.ask_about(panel, server, lambda: begin(call, server, backup))
    except DaemonFailure:
        panel.store.backups.remove(backup)
        raise
    access.log(call, server, "server:backup.start")
    return reply(answer)


def is_counted(backup: Backup) -> bool:
    """Pending and successful ones count, failed ones do not."""
    return backup.completed_at is None or backup.is_successful


def refuse_throttled(call: Call, server: Server) -> None:
    """Raise a 429 when too many were started lately, deleted ones included."""
    panel, settings = call.panel, call.panel.settings
    since = panel.now() - settings.backup_throttle_seconds
    recent = [
        each for each in panel.store.backups.where(server_id=server.id) if each.created_at >= since and is_counted(each)
    ]
    if len(recent) >= settings.backup_throttle_limit:
        seconds = recent[-1].created_at + settings.backup_throttle_seconds - panel.now()
        headers = {"Retry-After": str(max(1, int(seconds)))}
        raise PanelError(429, "TooManyRequestsHttpException", "Too many backups were made lately.", headers)


def begin(call: Call, server: Server, backup: Backup) -> None:
    """Let the node copy the files; the settings of this moment decide how it will end."""
    settings = call.panel.settings
    at = call.panel.now() + settings.backup_seconds
    daemon.schedule(call.panel, server, "backup", at=at, backup=backup.id, outcome=settings.backup_outcome)


@routes.add("GET", "/servers/{server}/backups/{backup}")
async def show(call: Call) -> Response:
    """One backup."""
    return reply(shapes.backup(named(call, access.server_for(call, "backup.read"))))


@routes.add("GET", "/servers/{server}/backups/{backup}/download")
async def download(call: Call) -> Response:
    """A link to the node, good once, also for a backup that is not finished."""
    server, panel = access.server_for(call, "backup.download"), call.panel
    backup = named(call, server)
    node = panel.store.nodes.must(server.node_id)
    base = f"{panel.url}/node/{node.id}"
    token = tokens.issue(
        node.token,
        issuer=panel.url,
        audience=base,
        now=panel.now(),
        seconds=LINK_SECONDS,
        server_uuid=server.uuid,
        backup_uuid=backup.uuid,
    )
    return reply(shapes.shown("signed_url", {"url": f"{base}/download/backup?token={token}"}))


@routes.add("POST", "/servers/{server}/backups/{backup}/lock")
async def toggle_lock(call: Call) -> Response:
    """Lock an unlocked backup, and unlock a locked one."""
    server = access.server_for(call, "backup.delete")
    backup = named(call, server)
    backup.is_locked = not backup.is_locked
    return reply(shapes.backup(backup))


@routes.add("POST", "/servers/{server}/backups/{backup}/restore")
async def restore(call: Call) -> Response:
    """Put a backup's files back; until the end the server's status says so."""
    server, panel = access.server_for(call, "backup.restore"), call.panel
    backup = named(call, server)
    validate(call.fields, {"truncate": "required|boolean"})
    if server.status is not None:
        raise refusal("BadRequestHttpException", "This server is not currently in a state that allows a restore.")
    if not backup.is_successful and backup.completed_at is None:
        raise refusal("BadRequestHttpException", "This backup cannot be restored at this time: it is not completed.")
    at = panel.now() + panel.settings.restore_seconds
    detail = {"backup": backup.id, "truncate": call.fields["truncate"] in (True, 1, "1")}
    server.status = "restoring_backup"
    try:
        await daemon.ask_about(panel, server, lambda: daemon.schedule(panel, server, "restore", at=at, **detail))
    except DaemonFailure:
        server.status = None
        raise
    access.log(call, server, "server:backup.restore")
    return no_content()


@routes.add("DELETE", "/servers/{server}/backups/{backup}")
async def remove(call: Call) -> Response:
    """Delete an unlocked backup."""
    server = access.server_for(call, "backup.delete")
    backup = named(call, server)
    if backup.is_locked:
        raise refusal("BackupLockedException", "Cannot delete a backup that is marked as locked.")
    await daemon.ask_about(call.panel, server, lambda: None)
    backup.deleted_at = call.panel.now()
    return no_content()
