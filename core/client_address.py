"""The address of the client, trusting only the proxies we run ourselves."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str | None:
    """The client's address; None when the server knows none (a Unix socket).

    X-Forwarded-For is read from the right, and only as far as TRUSTED_PROXY_COUNT proxies wrote it. A shorter header
    did not pass through all of them, so the address of the connection is taken.
    """
    own = _address(request.META.get("REMOTE_ADDR", ""))
    proxies: int = settings.TRUSTED_PROXY_COUNT
    if proxies <= 0:
        return own
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return (_address(forwarded[-proxies]) if len(forwarded) >= proxies else None) or own


def _address(text: str) -> str | None:
    """The bare address in `1.2.3.4`, `1.2.3.4:80`, `::1%eth0` or `[::1]:80`; None when the text is not an address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None
