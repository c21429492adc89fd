"""What a node serves itself: downloads and uploads behind signed links."""

import json
from email import policy
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import tokens
from sandbox.pterodactyl.errors import DaemonFailure
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.volume import Volume

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel


def refused(status: int, text: str) -> Response:
    """The node's own form of an error."""
    return JSONResponse({"error": text}, status_code=status)


def claims_of(panel: "Panel", request: Request, node_id: str) -> tuple[dict[str, Any], Server]:
    """The claims of a link, used up from now on, and the server they are about.

    Raises BadToken and DaemonFailure.
    """
    node = panel.store.nodes.get(node_id)
    if node is None:
        raise DaemonFailure(404)
    claims = tokens.read(node.token, request.query_params.get("token", ""), now=panel.now())
    found = panel.store.servers.where(uuid=claims.get("server_uuid"))
    if not found or claims["unique_id"] in panel.used_links:
        raise DaemonFailure(404)
    return claims, found[0]


async def serve(panel: "Panel", request: Request, node_id: str, action: str) -> Response:
    """Serve one link: ``download/file``, ``download/backup`` or ``upload/file``."""
    try:
        claims, server = claims_of(panel, request, node_id)
        if action == "upload/file" and request.method == "POST":
            return await upload(request, server)
        panel.used_links.add(claims["unique_id"])
        if action == "download/file":
            return attachment(claims["file_path"].rpartition("/")[2], Volume(server.runtime).read(claims["file_path"]))
        if action == "download/backup":
            return backup(panel, claims["backup_uuid"])
    except tokens.BadToken as error:
        return refused(403, str(error))
    except DaemonFailure as failure:
        return refused(failure.status, "The requested resource does not exist on this instance.")
    return refused(404, "The requested resource does not exist on this instance.")


def backup(panel: "Panel", uuid: str) -> Response:
    """A finished backup's content. Raises a 404 of the node."""
    for row in panel.store.backups.where(uuid=uuid, is_successful=True, deleted_at=None):
        return attachment(f"{uuid}.tar.gz", json.dumps(row.files, sort_keys=True))
    raise DaemonFailure(404)


def attachment(name: str, text: str) -> Response:
    """A download."""
    safe = name.replace('"', "").replace("\r", "").replace("\n", "")
    headers = {"Content-Disposition": f'attachment; filename="{safe.encode("ascii", "replace").decode()}"'}
    return Response(text.encode(), media_type="application/octet-stream", headers=headers)


async def upload(request: Request, server: Server) -> Response:
    """Write the files of a multipart body into a folder."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + await request.body())
    folder = request.query_params.get("directory", "/")
    for part in message.iter_parts():
        name = part.get_filename()
        if name:
            content = part.get_payload(decode=True)
            text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
            Volume(server.runtime).write(f"{folder}/{name}", text)
    return Response(status_code=200)
