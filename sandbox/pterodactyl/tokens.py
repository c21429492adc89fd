"""Signed tokens of the nodes: console access and one-time links, as JSON web tokens with HS256."""

import base64
import hashlib
import hmac
import json
import math
import uuid
from typing import Any


class BadToken(Exception):
    """The token is not one of this node's, or not for now; the text is what the console says."""


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _signature(key: str, signed: str) -> str:
    return _encoded(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest())


def issue(key: str, *, issuer: str, audience: str, now: float, seconds: float, **claims: object) -> str:
    """A token that is good from five minutes ago until ``seconds`` from now."""
    payload = {
        "iss": issuer,
        "aud": [audience],
        "jti": uuid.uuid4().hex,
        "iat": int(now),
        "nbf": int(now) - 300,
        "exp": math.ceil(now + seconds),
        "unique_id": uuid.uuid4().hex[:16],
        **claims,
    }
    head = _encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_encoded(json.dumps(payload).encode())}"
    return f"{signed}.{_signature(key, signed)}"


def read(key: str, token: str, *, now: float) -> dict[str, Any]:
    """The claims of a token.

    Raises BadToken for a wrong signature, nonsense, or a time outside the token's.
    """
    signed, _, signature = token.rpartition(".")
    if not signed or not hmac.compare_digest(_signature(key, signed).encode(), signature.encode()):
        raise BadToken("jwt: signature is not valid")
    try:
        claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
    except ValueError as error:
        raise BadToken("jwt: malformed token") from error
    if claims["exp"] <= now:
        raise BadToken("jwt: exp claim is invalid")
    if claims["nbf"] > now:
        raise BadToken("jwt: nbf claim is invalid")
    return claims
