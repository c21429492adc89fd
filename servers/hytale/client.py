"""Calls to Hytale's account and session services. Nothing that they answer is logged.

Each raises core.outside's errors. None of these calls is safe to repeat: see the callers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from core import outside
from core.outside import Expect, OutsideSession, refuse_transaction

CLIENT = "hytale-server"
SCOPE = "openid offline auth:server"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DOMAIN = "hytale.com"
HOST = re.compile(r"[a-z0-9.-]+")  # browsers read some other characters as the end of a host
MAX_ADDRESS = 500
SECONDS = 20.0
SESSION_LIFE = timedelta(hours=1)
# OAuth's words; any other text of an error might repeat a token that was sent.
WORDS = frozenset(
    {
        *("authorization_pending", "slow_down", "expired_token", "access_denied", "invalid_grant"),
        *("invalid_client", "unauthorized_client", "invalid_scope", "invalid_request", "unsupported_grant_type"),
    }
)


@dataclass(frozen=True)
class DeviceCode:
    """What a person enters at `address`, and with what we ask whether they did. Lives so many seconds."""

    device_code: str = field(repr=False)
    user_code: str
    address: str
    expires_in: int
    interval: int


@dataclass(frozen=True)
class Tokens:
    """What a sign-in or a refresh brings; an empty refresh token means that the present one stays."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True)
class GameSession:
    """What a server starts with."""

    session_token: str = field(repr=False)
    identity_token: str = field(repr=False)
    expires_at: datetime


def begin_sign_in() -> DeviceCode:
    """A new device code. Raises Rejected where the page to open is not Hytale's."""
    body = _oauth("/oauth2/device/auth", {"client_id": CLIENT, "scope": SCOPE})
    address = str(body.get("verification_uri_complete") or body.get("verification_uri") or "")
    if not is_trusted_address(address):
        raise outside.Rejected("hytale: the address of the sign-in page is not Hytale's")
    return DeviceCode(
        device_code=_text(body, "device_code"),
        user_code=_text(body, "user_code")[:32],
        address=address,
        expires_in=_seconds(body, "expires_in", 900),
        interval=_seconds(body, "interval", 5),
    )


def redeem_device_code(device_code: str) -> Tokens:
    """The tokens, once a person has approved. Until then, and where they do not, Rejected with the `code` of OAuth."""
    form = {"client_id": CLIENT, "grant_type": DEVICE_GRANT, "device_code": device_code}
    return _tokens(_oauth("/oauth2/token", form))


def refresh(refresh_token: str) -> Tokens:
    """New tokens. After Unknown the old refresh token may be spent."""
    form = {"client_id": CLIENT, "grant_type": "refresh_token", "refresh_token": refresh_token}
    return _tokens(_oauth("/oauth2/token", form))


def profiles(access_token: str) -> list[dict[str, str]]:
    """The `uuid` and `username` of each profile; none where the account does not own the game."""
    base = settings.HYTALE_ACCOUNT_BASE or f"https://account-data.{DOMAIN}"
    listed = _session(base, access_token).call("GET", "/my-account/get-profiles", is_repeatable=True).body
    found = listed.get("profiles") if isinstance(listed, dict) else None
    rows = [each for each in found if isinstance(each, dict) and each.get("uuid")] if isinstance(found, list) else []
    return [{"uuid": str(each["uuid"])[:64], "username": str(each.get("username") or "")[:64]} for each in rows]


def open_session(access_token: str, profile: str, *, at: datetime) -> GameSession:
    """A new game session, which takes a slot. After Unknown one may exist that nobody knows the tokens of."""
    session = _session(_sessions_base(), access_token)
    body = _object(session.call("POST", "/game-session/new", json={"uuid": profile}).body)
    try:
        expires_at = datetime.fromisoformat(str(body.get("expiresAt")))
    except ValueError:
        expires_at = at
    if expires_at.tzinfo is None or expires_at <= at:
        expires_at = at + SESSION_LIFE
    return GameSession(_text(body, "sessionToken"), _text(body, "identityToken"), expires_at)


def end_session(session_token: str) -> None:
    """End a game session. Rejected with 401 or 404 where the token is no longer that of one. Safe to repeat."""
    session = _session(_sessions_base(), session_token)
    session.call("DELETE", "/game-session", is_repeatable=True, expects=Expect.NOTHING)


def is_trusted_address(address: str) -> bool:
    """Whether staff may be sent there: a page of Hytale's, or of what the shop uses in its place."""
    try:
        parts, stand_in = urlsplit(address), urlsplit(settings.HYTALE_OAUTH_BASE)
        host = parts.hostname or ""
        if stand_in.netloc and (parts.scheme, parts.netloc) == (stand_in.scheme, stand_in.netloc):
            return True
        # As accounts.hytale.com is above oauth.accounts.hytale.com, also in another environment of Hytale's.
        is_above = "." in host and (stand_in.hostname or "").endswith(f".{host}")
        is_plain = parts.netloc.lower().removesuffix(":443") == host and HOST.fullmatch(host) is not None
    except ValueError:
        return False
    is_short = len(address) <= MAX_ADDRESS and address.isprintable()
    is_hytales = host == DOMAIN or host.endswith(f".{DOMAIN}")
    return parts.scheme == "https" and is_plain and is_short and (is_hytales or is_above)


def _sessions_base() -> str:
    return str(settings.HYTALE_SESSIONS_BASE or f"https://sessions.{DOMAIN}")


def _session(base: str, token: str = "") -> OutsideSession:
    refuse_transaction("hytale")
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return OutsideSession("hytale", base, headers, read_timeout=SECONDS)


def _oauth(path: str, form: Mapping[str, str]) -> dict[str, Any]:
    base = settings.HYTALE_OAUTH_BASE or f"https://oauth.accounts.{DOMAIN}"
    try:
        return _object(_session(base).call("POST", path, form=form).body)
    except outside.OutsideError as error:
        word = error.code if error.code in WORDS else ""
        reason = f"hytale POST {path}: {error.status or 'no answer'} {word}".strip()
        raise type(error)(reason, status=error.status, retry_after=error.retry_after, code=word) from None


def _tokens(body: Mapping[str, Any]) -> Tokens:
    return Tokens(
        access_token=_text(body, "access_token"),
        refresh_token=str(body.get("refresh_token") or ""),
        expires_in=_seconds(body, "expires_in", 3600),
    )


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise outside.Unknown("hytale: the answer is not understood")
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    """What the answer must have. Raises Unknown without: what was asked for may have happened."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise outside.Unknown(f"hytale: the answer has no {name}")
    return value


def _seconds(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    return int(value) if isinstance(value, int) and 0 < value < 10**7 else default
