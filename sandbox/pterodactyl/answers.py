"""Refusals as the caller gets them: JSON when it was asked for, else redirects and HTML pages."""

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sandbox.pterodactyl.call import READS, wants_json
from sandbox.pterodactyl.errors import PanelError

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel


def refused(panel: "Panel", request: Request, error: PanelError) -> Response:
    """The answer for a refusal; without ``Accept: application/json`` it is not JSON."""
    if wants_json(request):
        return JSONResponse({"errors": error.elements()}, status_code=error.status, headers=error.headers)
    if error.status == 401:
        return RedirectResponse(f"{panel.url}/auth/login", status_code=302, headers=error.headers)
    if error.status in {400, 422}:
        return RedirectResponse(f"{panel.url}/", status_code=302, headers=error.headers)
    page = f"<!doctype html><title>{error.status}</title><h1>{error.status}</h1><p>{escape(error.detail)}</p>"
    return HTMLResponse(page, status_code=error.status, headers=error.headers)


def bad_gateway() -> Response:
    """What the web server in front answers when the panel's worker died."""
    return HTMLResponse("<html><head><title>502 Bad Gateway</title></head></html>", status_code=502)


def check_browser_session(panel: "Panel", request: Request) -> None:
    """Refuse writes that look like a browser's: a session cookie, or the panel's own host as origin.

    Raises a 419.
    """
    own = urlsplit(panel.url).netloc
    origins = (request.headers.get("origin"), request.headers.get("referer"))
    is_browser = "pterodactyl_session" in request.cookies or own in {urlsplit(each or "").netloc for each in origins}
    if is_browser and request.method not in READS:
        raise PanelError(419, "HttpException", "CSRF token mismatch.")
