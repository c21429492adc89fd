"""What Hytale keeps of accounts that own the game: device codes, tokens, profiles and game sessions.

Times are unix seconds of the sandbox clock. A text that begins with `rt_`, `at_`, `st_` or `it_` is a refresh, access,
session or identity token.
"""

import copy
import secrets
from datetime import UTC, datetime
from typing import Any

from sandbox.frame import Frame
from sandbox.state import JsonObject

CLIENT = "hytale-server"
SCOPE = "openid offline auth:server"
DAY = 86_400.0
SETTINGS: JsonObject = {
    "rotates": True,
    "revokes_on_reuse": False,
    "code_seconds": 900.0,
    "interval": 5,
    "access_seconds": 3600.0,
    "refresh_seconds": 30 * DAY,
    "session_seconds": 3600.0,
    "errors": "json",
}
"""What tests may change. `rotates`: a used refresh token is replaced; `revokes_on_reuse`: using an old one ends all of
its sign-in. `errors` is the form of errors of profiles and sessions, which is not known: json, text or empty."""
OWNER = "0b8f3c52-7d1e-4f0e-9a43-2f6f5a1c0001"
HOST: JsonObject = {
    "owner": OWNER,
    "profiles": [{"uuid": "0b8f3c52-7d1e-4f0e-9a43-2f6f5a1c0002", "username": "ExampleHost"}],
    "limit": 100,
}
SAVED = ("accounts", "codes", "refresh", "access", "sessions", "settings", "last_poll")


class Refused(Exception):
    """An answer other than 2xx; `error` is OAuth's word where there is one."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


class Accounts:
    """Every account by its name; a device code is approved for one of them, or for `host`."""

    name = "hytale"

    def __init__(self, frame: Frame) -> None:
        self.clock = frame.clock
        self.reset()

    def reset(self) -> None:
        """One account with one profile, and nothing else."""
        self.accounts: dict[str, JsonObject] = {"host": copy.deepcopy(HOST)}
        self.codes: dict[str, JsonObject] = {}
        self.refresh: dict[str, JsonObject] = {}
        self.access: dict[str, JsonObject] = {}
        self.sessions: dict[str, JsonObject] = {}
        self.settings: JsonObject = copy.deepcopy(SETTINGS)
        self.last_poll: dict[str, float] = {}

    def snapshot(self) -> JsonObject:
        """Everything."""
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, saved: JsonObject) -> None:
        """Take over what was saved."""
        for name in SAVED:
            setattr(self, name, saved[name])

    def begin_device(self) -> JsonObject:
        """A device code that waits for a person."""
        code, consonants = f"dc_{secrets.token_hex(8)}", "BCDFGHJKLMNPQRSTVWXZ"
        user_code = "".join(secrets.choice(consonants) for _ in range(4)) + f"-{secrets.randbelow(9000) + 1000}"
        ends_at = self.clock.now() + self.settings["code_seconds"]
        self.codes[code] = {"user_code": user_code, "state": "pending", "account": "host", "ends_at": ends_at}
        return {"device_code": code, "user_code": user_code, "expires_in": int(self.settings["code_seconds"])}

    def decide(self, user_code: str, state: str, account: str = "host") -> bool:
        """What the person answers: approved or denied; False for a code that is not pending."""
        found = [row for row in self.codes.values() if row["user_code"] == user_code and row["state"] == "pending"]
        for row in found:
            row |= {"state": state, "account": account}
        return bool(found)

    def redeem_device(self, code: str) -> JsonObject:
        """The tokens of an approved code, once. Raises Refused until then."""
        row, now = self.codes.get(code), self.clock.now()
        if row is None or row["state"] == "used":
            raise Refused(400, "invalid_grant")
        if now >= row["ends_at"]:
            raise Refused(400, "expired_token")
        polled_at, self.last_poll[code] = self.last_poll.get(code), now
        if polled_at is not None and now - polled_at < self.settings["interval"]:
            raise Refused(400, "slow_down")
        if row["state"] != "approved":
            raise Refused(400, "access_denied" if row["state"] == "denied" else "authorization_pending")
        row["state"] = "used"
        return self._tokens(row["account"], family=secrets.token_hex(4))

    def redeem_refresh(self, token: str) -> JsonObject:
        """New tokens for a refresh token. Raises Refused for one that was used, revoked or is too old."""
        row = self.refresh.get(token)
        if row is None or self.clock.now() >= row["ends_at"]:
            raise Refused(400, "invalid_grant")
        if row["is_used"]:
            if self.settings["revokes_on_reuse"]:
                self.refresh = {key: each for key, each in self.refresh.items() if each["family"] != row["family"]}
            raise Refused(400, "invalid_grant")
        row["is_used"] = self.settings["rotates"]
        return self._tokens(row["account"], row["family"], keeping="" if self.settings["rotates"] else token)

    def _tokens(self, account: str, family: str, keeping: str = "") -> JsonObject:
        now, access, refresh = self.clock.now(), f"at_{secrets.token_hex(12)}", keeping or f"rt_{secrets.token_hex(12)}"
        self.access[access] = {"account": account, "ends_at": now + self.settings["access_seconds"]}
        ends_at = now + self.settings["refresh_seconds"]
        self.refresh[refresh] = {"account": account, "family": family, "ends_at": ends_at, "is_used": False}
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": int(self.settings["access_seconds"])}
        return answer | {"scope": SCOPE} | ({} if keeping else {"refresh_token": refresh})

    def signed_in(self, token: str) -> JsonObject:
        """The account of an access token. Raises Refused."""
        row = self.access.get(token)
        if row is None or self.clock.now() >= row["ends_at"]:
            raise Refused(401, "unauthorized")
        return self.accounts[row["account"]]

    def live_sessions(self) -> dict[str, JsonObject]:
        """The sessions that take a slot now, by their tokens."""
        return {token: row for token, row in self.sessions.items() if self.is_live(token)}

    def is_live(self, token: str) -> bool:
        """Whether a server that starts with this session token is signed in."""
        return token in self.sessions and self.sessions[token]["ends_at"] > self.clock.now()

    def open_session(self, access_token: str, profile: Any) -> JsonObject:
        """Another session, whether or not there is one already. Raises Refused."""
        account = self.signed_in(access_token)
        if not isinstance(profile, str):
            raise Refused(400, "malformed")
        if profile not in {each["uuid"] for each in account["profiles"]}:
            raise Refused(404 if account["profiles"] else 403, "no such profile")
        if sum(row["owner"] == account["owner"] for row in self.live_sessions().values()) >= account["limit"]:
            raise Refused(403, "session limit reached")
        token = f"st_{secrets.token_hex(12)}"
        self.sessions[token] = {"owner": account["owner"], "profile": profile, "ends_at": 0.0}
        return self._renewed(token)

    def renew_session(self, token: str) -> JsonObject:
        """As a server that runs does: the session goes on under another token. Raises Refused."""
        self._live(token)
        renewed = f"st_{secrets.token_hex(12)}"
        self.sessions[renewed] = self.sessions.pop(token)
        return self._renewed(renewed)

    def end_session(self, token: str) -> None:
        """Free the slot. Raises Refused for a session that has ended."""
        self._live(token)
        del self.sessions[token]

    def _live(self, token: str) -> None:
        if not self.is_live(token):
            raise Refused(401, "unauthorized")

    def _renewed(self, token: str) -> JsonObject:
        ends_at = self.clock.now() + self.settings["session_seconds"]
        self.sessions[token]["ends_at"] = ends_at
        text = datetime.fromtimestamp(ends_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"sessionToken": token, "identityToken": f"it_{secrets.token_hex(12)}", "expiresAt": text}

    def end_all(self) -> None:
        """The owner ends everything: no token works any more, and no session is left."""
        self.refresh, self.access, self.sessions, self.codes = {}, {}, {}, {}
