"""The idempotency store: one key, one operation, one answer."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account
from sandbox.stripe.forms import Pairs

MAX_KEY = 255


@dataclass
class KeyStore:
    """Looks keys up and remembers results; results live in the account, running keys only in memory."""

    account: Account
    running: set[str] = field(default_factory=set)

    def earlier(self, key: str, fingerprint: str) -> JsonObject | None:
        """The remembered answer under this key, or None when the call is new.

        Raises StripeError when the key is too long, was used with other parameters, or is still running.
        """
        if len(key) > MAX_KEY:
            raise errors.invalid(f"Idempotency keys may be at most {MAX_KEY} characters.")
        stored = self.account.stored.get(key)
        lifetime = self.account.settings["idempotency_seconds"]
        if stored is not None and self.account.clock.now() - stored["at"] >= lifetime:
            del self.account.stored[key]
            stored = None
        if stored is not None and stored["fingerprint"] != fingerprint:
            raise errors.key_reused(key)
        if key in self.running:
            raise errors.key_in_use(key)
        return stored

    def remember(self, key: str, fingerprint: str, status: int, body: str, request_id: str) -> None:
        """Keep a result for the account's `idempotency_seconds`."""
        self.account.stored[key] = {
            "fingerprint": fingerprint,
            "status": status,
            "body": body,
            "request_id": request_id,
            "at": self.account.clock.now(),
        }


def fingerprint(method: str, path: str, pairs: Pairs) -> str:
    """What must be equal for two calls to be the same operation; the order of fields does not matter."""
    return hashlib.sha256(repr((method, path, sorted(pairs))).encode()).hexdigest()


def key_of(method: str, headers: Mapping[str, str]) -> str | None:
    """The call's key; only POST has one."""
    return headers.get("idempotency-key") if method == "POST" else None
