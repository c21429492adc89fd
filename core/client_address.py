"""Whose address a request came from, believing only the proxies we run ourselves."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str | None:
    """The client's address, None when the server gives none (a Unix socket).

    X-Forwarded-For counts only from the right, and only as far as TRUSTED_PROXY_COUNT proxies wrote it; a chain that
    is shorter did not pass them all, so the connection's own address is taken.
    """
    own = _address(request.META.get("REMOTE_ADDR", ""))
    proxies: int = settings.TRUSTED_PROXY_COUNT
    if proxies <= 0:
        return own
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return (_address(forwarded[-proxies]) if len(forwarded) >= proxies else None) or own


def _address(text: str) -> str | None:
    """The bare address in `1.2.3.4`, `1.2.3.4:80`, `::1%eth0` or `[::1]:80`; None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None
