"""Calls to Tripay: its two base addresses, the envelope of its answers, signatures, and whole rupiah."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from billing.gateways.base import NOT_AUTHORIZED
from billing.models import GatewayAccount
from core.money import Money
from core.outside import OutsideSession, Rejected, Unavailable, Unknown, refuse_transaction

API_BASE = "https://tripay.co.id"
TEST_KEY_PREFIX = "DEV-"
MINOR_UNITS = 100  # of one rupiah: Tripay counts whole ones


class TripayClient:
    """Calls to one account: its `api_key`, `private_key` and `merchant_code`."""

    def __init__(self, account: GatewayAccount) -> None:
        own = account.credentials or {}
        self.api_key, self.private_key = str(own.get("api_key", "")), str(own.get("private_key", ""))
        self.merchant_code = str(own.get("merchant_code", ""))
        self.base = str(settings.TRIPAY_API_BASE or API_BASE)

    @staticmethod
    def page_origins() -> list[str]:
        """Tripay's checkout pages, in its sandbox too; those of a stand-in are where its API is."""
        parts = urlsplit(settings.TRIPAY_API_BASE or API_BASE)
        return [f"{parts.scheme}://{parts.netloc}"]

    def is_configured(self) -> bool:
        """Whether all three are set."""
        return bool(self.api_key and self.private_key and self.merchant_code)

    def is_live(self) -> bool:
        """Keys of the sandbox begin with DEV-."""
        return not self.api_key.startswith(TEST_KEY_PREFIX)

    def read(self, path: str, **params: Any) -> Any:
        """The answer to a read. Raises Unavailable also where our key or address is refused."""
        try:
            return self._call("GET", path, params=params)
        except Rejected as error:
            if error.status in NOT_AUTHORIZED:
                raise Unavailable(str(error), status=error.status) from None
            raise

    def write(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer to a call that creates something; Unknown where it was lost."""
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        """The whole answer. What decides is its `success`; Tripay specifies no status codes."""
        call = f"Tripay {method} {path}"
        refuse_transaction(call)
        if not self.is_configured():
            raise Unavailable("Tripay is not set up: the account lacks keys")
        base = f"{self.base}/api" if self.is_live() else f"{self.base}/api-sandbox"
        session = OutsideSession("Tripay", base, {"Authorization": f"Bearer {self.api_key}"})
        try:
            body = session.call(method, path, is_repeatable=method == "GET", **options).body
        except Rejected as error:
            message = str(error.body.get("message", ""))[:100]
            raise Rejected(f"{error} {message}".strip(), status=error.status, code=error.code) from None
        if not isinstance(body, dict) or not isinstance(body.get("success"), bool):
            raise (Unavailable if method == "GET" else Unknown)(f"{call}: the answer is not Tripay's")
        if not body["success"]:
            raise Rejected(f"{call}: {str(body.get('message', 'refused'))[:100]}")
        return body


def signature(key: str, content: bytes) -> str:
    """The lower-case hexadecimal HMAC-SHA256."""
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()


def to_rupiah(amount: Money) -> int:
    """Whole rupiah. Raises Rejected for a part of one, and for another currency."""
    rupiah, rest = divmod(amount.minor, MINOR_UNITS)
    if rest or amount.currency != "IDR":
        raise Rejected(f"Tripay cannot charge {amount.minor} minor units of {amount.currency}")
    return rupiah


def from_rupiah(rupiah: int) -> Money:
    """So many whole rupiah."""
    return Money(rupiah * MINOR_UNITS, "IDR")


def whole(data: Mapping[str, Any], name: str) -> int:
    """A number of an answer, which Tripay sends as number or as digits. Raises Rejected where it is none."""
    value = data.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Rejected(f"Tripay: {name} is no whole number")
