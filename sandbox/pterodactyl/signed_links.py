"""What a node serves itself: backups behind signed links."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import tokens
from sandbox.pterodactyl.errors import PanelError
from sandbox.pterodactyl.panel import Panel


async def serve(panel: Panel, request: Request, node_id: str, action: str) -> Response:
    """Serve the link ``download/backup``, which works once."""
    missing = JSONResponse({"error": "The requested resource does not exist on this instance."}, status_code=404)
    try:
        node = panel.store.nodes.get_or_404(node_id)
        claims = tokens.read(panel, node, request.query_params.get("token", ""))
        server = next(iter(panel.store.servers.where(uuid=claims["server_uuid"])), None)
        if server is None or claims["unique_id"] in panel.used_links:
            return missing
        panel.used_links.add(claims["unique_id"])
        if action == "download/backup":
            for backup in panel.store.backups.where(uuid=claims["backup_uuid"], is_successful=True, deleted_at=None):
                headers = {"Content-Disposition": f'attachment; filename="{backup.uuid}.tar.gz"'}
                archive = json.dumps(backup.files, sort_keys=True)
                return Response(archive, media_type="application/octet-stream", headers=headers)
    except tokens.BadToken as error:
        return JSONResponse({"error": str(error)}, status_code=403)
    except PanelError:
        return missing
    return missing
