"""The plain HTML shell that every page shares: no script, no assets from elsewhere, light and dark."""

from html import escape
from pathlib import Path

from starlette.responses import HTMLResponse

STYLE = Path(__file__).with_name("page.css").read_text("utf-8")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: http: https:; frame-src 'self'; base-uri 'none'"


def page(title: str, body: str, *, width: str = "", status: int = 200) -> HTMLResponse:
    """A whole page around `body`, which is trusted HTML; `width` is empty, `narrow` or `split`."""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f'<body><main class="{escape(width)}">{body}</main></body></html>'
    )
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(html, status_code=status, headers=headers)
