"""Tokens that a node accepts, for its console and its one-time links: JSON web tokens with HS256."""

import base64
import hashlib
import hmac
import json
import math
import uuid
from typing import Any

from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Node, Server


class BadToken(Exception):
    """The token is not signed by this node, or its time is over; the text is what the console says."""


def base64url(part: bytes) -> str:
    """Base64 for addresses, without padding."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def signature(node: Node, signed: str) -> str:
    """The HMAC of a token's first two parts with the node's key."""
    return base64url(hmac.new(node.token.encode(), signed.encode(), hashlib.sha256).digest())


def issue(panel: Panel, server: Server, *, seconds: float, **claims: object) -> tuple[str, str]:
    """The address of a server's node, and a token valid from five minutes ago until ``seconds`` from now."""
    node, now = panel.store.nodes.get_or_404(server.node_id), panel.now()
    node_url = f"{panel.url}/node/{node.id}"
    payload = {
        "iss": panel.url,
        "aud": [node_url],
        "jti": uuid.uuid4().hex,
        "iat": int(now),
        "nbf": int(now) - 300,
        "exp": math.ceil(now + seconds),
        "unique_id": uuid.uuid4().hex[:16],
        "server_uuid": server.uuid,
        **claims,
    }
    header = {"alg": "HS256", "typ": "JWT"}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
    return node_url, f"{signed}.{signature(node, signed)}"


def read(panel: Panel, node: Node, token: str) -> dict[str, Any]:
    """The claims of a token.

    Raises BadToken for a wrong signature, nonsense, or a time outside the token's.
    """
    signed, _, sent = token.rpartition(".")
    if not signed or not hmac.compare_digest(signature(node, signed).encode(), sent.encode()):
        raise BadToken("jwt: signature is not valid")
    payload = signed.partition(".")[2]
    try:
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError as error:
        raise BadToken("jwt: malformed token") from error
    if claims["exp"] <= panel.now():
        raise BadToken("jwt: exp claim is invalid")
    if claims["nbf"] > panel.now():
        raise BadToken("jwt: nbf claim is invalid")
    return claims
