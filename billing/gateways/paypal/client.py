"""Calls to PayPal: its access token, the codes of its refusals, and amounts as decimal text."""

import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings

from billing.gateways.base import KEY_MISMATCH, NOT_AUTHORIZED
from billing.models import GatewayAccount
from core.money import Money, TooFine, exponent
from core.outside import OutsideSession, Rejected, Unavailable, refuse_transaction
from core.outside.response import OutsideResponse

API_BASES = {True: "https://api-m.paypal.com", False: "https://api-m.sandbox.paypal.com"}
PAGE_ORIGINS = ("https://www.paypal.com", "https://www.sandbox.paypal.com")
SANDBOX = "sandbox"
WHOLE = frozenset({"HUF", "TWD"})  # PayPal takes no decimals of these, and ISO 4217 has two
TOKEN_MARGIN = 60  # seconds before its end at which a token is replaced
# 409: the same request is being carried out; then, and after too many calls, it is repeated later.
NOT_CARRIED_OUT = frozenset({409, 425, 429, 503})
ISSUES = {"PAYPAL_REQUEST_ID_PREVIOUSLY_USED": KEY_MISMATCH}
type Place = tuple[str, str, str]  # an address with a client ID and its secret


class Tokens:
    """The access tokens of this process, and until when each is good."""

    def __init__(self) -> None:
        self._tokens: dict[Place, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def get(self, place: Place) -> str:
        """A token that is still good; empty where there is none."""
        with self._lock:
            token, ends_at = self._tokens.get(place, ("", 0))
        return token if time.monotonic() < ends_at else ""

    def keep(self, place: Place, token: str, seconds: int) -> None:
        """Keep a token until shortly before its end."""
        with self._lock:
            self._tokens[place] = token, time.monotonic() + seconds - TOKEN_MARGIN

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._tokens.clear()


TOKENS = Tokens()


class PayPalClient:
    """Calls to one REST app: its `client_id`, `client_secret`, `webhook_id`, and `environment` (live or sandbox)."""

    def __init__(self, account: GatewayAccount) -> None:
        own = account.credentials or {}
        self.client_id, self.client_secret = str(own.get("client_id", "")), str(own.get("client_secret", ""))
        self.webhook_id, self.environment = str(own.get("webhook_id", "")), str(own.get("environment", "live"))
        self.base = str(settings.PAYPAL_API_BASE or API_BASES[self.is_live()])

    @staticmethod
    def page_origins() -> list[str]:
        """PayPal's approval pages; those of a stand-in are where its API is."""
        if not settings.PAYPAL_API_BASE:
            return list(PAGE_ORIGINS)
        parts = urlsplit(settings.PAYPAL_API_BASE)
        return [f"{parts.scheme}://{parts.netloc}"]

    def is_configured(self) -> bool:
        """Whether all keys are set."""
        return bool(self.client_id and self.client_secret and self.webhook_id)

    def is_live(self) -> bool:
        """Its keys do not say it: staff do."""
        return self.environment.strip().lower() != SANDBOX

    def read(self, path: str) -> Any:
        """The object at a path. Raises Unavailable also where our keys are refused."""
        try:
            return self._call("GET", path).body
        except Rejected as error:
            if error.status in NOT_AUTHORIZED:
                raise Unavailable(str(error), status=error.status, code=error.code) from None
            raise

    def write(self, path: str, body: Mapping[str, Any], *, key: str) -> Any:
        """What a call created, or under the same key created before; Unknown where the answer was lost."""
        headers = {"PayPal-Request-Id": key, "Prefer": "return=representation"}
        return self._call("POST", path, json=body, headers=headers).body

    def check_keys(self) -> None:
        """A new access token."""
        self._token(is_fresh=True)

    def _call(self, method: str, path: str, **options: Any) -> OutsideResponse:
        refuse_transaction(f"PayPal {method} {path}")
        try:
            return self._send(method, path, self._token(is_fresh=False), **options)
        except Rejected as error:
            if error.status != 401:
                raise
        return self._send(method, path, self._token(is_fresh=True), **options)  # it was revoked early

    def _send(self, method: str, path: str, token: str, **options: Any) -> OutsideResponse:
        session = OutsideSession(
            "PayPal", self.base, {"Authorization": f"Bearer {token}"}, not_carried_out=NOT_CARRIED_OUT
        )
        try:
            return session.call(method, path, is_repeatable=method == "GET", **options)
        except Rejected as error:
            issue = _issue(error.body) or error.code
            raise Rejected(
                f"PayPal {method} {path}: {error.status} {issue}", status=error.status, code=ISSUES.get(issue, issue)
            ) from None

    def _token(self, *, is_fresh: bool) -> str:
        """An access token, kept by this process until shortly before its end."""
        if not self.is_configured():
            raise Unavailable("PayPal is not set up: the account lacks keys")
        place = (self.base, self.client_id, self.client_secret)
        if not is_fresh and (token := TOKENS.get(place)):
            return token
        basic = b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        session = OutsideSession("PayPal", self.base, {"Authorization": f"Basic {basic}"})
        form = {"grant_type": "client_credentials"}
        body = session.call("POST", "/v1/oauth2/token", form=form, is_repeatable=True).body
        if not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
            raise Unavailable("PayPal: the answer holds no access token")
        TOKENS.keep(place, body["access_token"], int(body.get("expires_in", 0)))
        return str(body["access_token"])


def _issue(body: Mapping[str, Any]) -> str:
    """The code of a refusal: of its first detail, or its name."""
    details = body.get("details")
    first = details[0] if isinstance(details, list) and details else None
    issue = first.get("issue") if isinstance(first, Mapping) else None
    return str(issue or body.get("name") or "")[:100]


def to_value(amount: Money) -> dict[str, str]:
    """An amount as PayPal takes it. Raises Rejected for a part of a unit of which it takes only whole ones."""
    places = exponent(amount.currency)
    if amount.currency in WHOLE:
        if amount.minor % 10**places:
            raise Rejected(f"PayPal takes only whole {amount.currency}")
        return {"currency_code": amount.currency, "value": str(amount.minor // 10**places)}
    return {"currency_code": amount.currency, "value": f"{amount.amount:.{places}f}"}


def from_value(value: Any) -> Money:
    """An amount of PayPal's. Raises Rejected where it is no decimal text with a currency."""
    try:
        return Money.parse(str(value["value"]), str(value["currency_code"]))
    except (TooFine, ValueError, KeyError, TypeError):
        raise Rejected("PayPal: an amount cannot be read") from None


def our_id(text: Any) -> UUID | None:
    """The id of ours that PayPal keeps as `custom_id`."""
    try:
        return UUID(str(text))
    except ValueError:
        return None
