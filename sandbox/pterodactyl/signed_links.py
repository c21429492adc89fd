"""What a node serves itself: backups and files behind signed links, and uploads."""

import json
import posixpath
from email.parser import BytesParser
from email.policy import HTTP

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import tokens
from sandbox.pterodactyl.client import files
from sandbox.pterodactyl.errors import DaemonError, PanelError
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Node, Server

MIB = 1024 * 1024


async def serve(panel: Panel, request: Request, node_id: str, action: str) -> Response:
    """Serve a link, which works once. Only allowed origins may read the answer."""
    if request.method == "OPTIONS":
        response = Response(status_code=204)
    else:
        response = await _answer(panel, request, node_id, action)
    origin = request.headers.get("origin", "")
    if origin in panel.origins():
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PATCH, PUT, DELETE, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = "Accept, Authorization, Origin, Content-Type"
    return response


async def _answer(panel: Panel, request: Request, node_id: str, action: str) -> Response:
    missing = JSONResponse({"error": "The requested resource does not exist on this instance."}, status_code=404)
    try:
        node = panel.store.nodes.get_or_404(node_id)
        claims = tokens.read(panel, node, request.query_params.get("token", ""))
    except tokens.BadToken as error:
        return JSONResponse({"error": str(error)}, status_code=403)
    except PanelError:
        return missing
    server = next(iter(panel.store.servers.where(uuid=claims["server_uuid"])), None)
    if server is None or claims.get("unique_id") in panel.used_links:
        return missing
    panel.used_links.add(claims["unique_id"])
    if action == "upload/file" and request.method == "POST" and "is_upload" in claims:
        return await _take(panel, node, server, request)
    if action == "download/backup" and "backup_uuid" in claims:
        for backup in panel.store.backups.where(uuid=claims["backup_uuid"], is_successful=True, deleted_at=None):
            return _attachment(f"{backup.uuid}.tar.gz", json.dumps(backup.files, sort_keys=True).encode())
    if action == "download/file" and claims.get("file_path") in server.runtime.files:
        path = claims["file_path"]
        return _attachment(posixpath.basename(path), files.as_bytes(server.runtime.files[path]))
    return missing


def _attachment(name: str, content: bytes) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def _take(panel: Panel, node: Node, server: Server, request: Request) -> Response:
    """Take uploaded files, all or none: 400 where one is larger than the node's limit."""
    folder = request.query_params.get("directory", "")
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    parts = BytesParser(policy=HTTP).parsebytes(head + await request.body()).iter_parts()
    sent = {str(part.get_filename()): bytes(part.get_payload(decode=True)) for part in parts if part.get_filename()}
    for name, content in sent.items():
        if len(content) > node.upload_size * MIB:
            error = f"File {name} is larger than the maximum file upload size of {node.upload_size} MB."
            return JSONResponse({"error": error}, status_code=400)
    try:
        for name, content in sent.items():
            files.add(server, files.absolute(folder, name), files.as_text(content))
    except DaemonError:
        return JSONResponse({"error": "A file cannot be written."}, status_code=500)
    panel.save()
    return Response(status_code=200)
