"""What a node serves itself: downloads and uploads behind signed links."""

import json
from email import policy
from email.parser import BytesParser

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import tokens
from sandbox.pterodactyl.errors import PanelError
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.volume import Volume


async def serve(panel: Panel, request: Request, node_id: str, action: str) -> Response:
    """Serve one link: ``download/file``, ``download/backup`` or ``upload/file``. A download link works once."""
    missing = JSONResponse({"error": "The requested resource does not exist on this instance."}, status_code=404)
    try:
        node = panel.store.nodes.get_or_404(node_id)
        claims = tokens.read(panel, node, request.query_params.get("token", ""))
        server = next(iter(panel.store.servers.where(uuid=claims["server_uuid"])), None)
        if server is None or claims["unique_id"] in panel.used_links:
            return missing
        if action == "upload/file" and request.method == "POST":
            return await upload(request, server)
        panel.used_links.add(claims["unique_id"])
        if action == "download/file":
            path = claims["file_path"]
            return attachment(path.rpartition("/")[2], Volume(server.runtime).read(path))
        if action == "download/backup":
            for backup in panel.store.backups.where(uuid=claims["backup_uuid"], is_successful=True, deleted_at=None):
                return attachment(f"{backup.uuid}.tar.gz", json.dumps(backup.files, sort_keys=True))
    except tokens.BadToken as error:
        return JSONResponse({"error": str(error)}, status_code=403)
    except PanelError:
        return missing
    return missing


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
