"""Everything one PayPal business account holds: orders, captures, refunds, disputes, and the events about them."""

import copy
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from sandbox.clock import Clock
from sandbox.frame import Frame
from sandbox.paypal.signing import Signer
from sandbox.state import JsonObject

CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID = "sim-client", "sim-client-secret", "8PT597110X687430L"
CURRENCIES = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MXN", "MYR", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
})  # fmt: skip
WHOLE = frozenset({"HUF", "JPY", "TWD"})
TOKEN_SECONDS, ORDER_SECONDS = 32_400, 3 * 3600
ORDER_KEY_SECONDS, REFUND_KEY_SECONDS = 6 * 3600, 45 * 86_400
SETTINGS: JsonObject = {
    "webhook_url": "",
    "timeout": 10.0,
    "capture": "COMPLETED",
    "refund": "COMPLETED",
    "strict_keys": False,
}
"""What tests may change: where webhooks go; how the next captures and refunds end, or the issue by which captures are
refused; and whether a request id with another body is refused instead of answered with the first result."""
SWITCHES = ("drop", "duplicate", "forged", "other_webhook")
SAVED = ("orders", "captures", "refunds", "disputes", "events", "tokens", "requests", "settings", "switches")
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class PayPalError(Exception):
    """A refusal: status, name and issue."""

    def __init__(self, status: int, name: str, issue: str) -> None:
        super().__init__(issue)
        self.status, self.name, self.issue = status, name, issue


def unprocessable(issue: str) -> PayPalError:
    """422: understood, and refused."""
    return PayPalError(422, "UNPROCESSABLE_ENTITY", issue)


def missing() -> PayPalError:
    """404."""
    return PayPalError(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")


class Account:
    """The account. Times are RFC 3339, by the sandbox clock."""

    name = "paypal"

    def __init__(self, frame: Frame) -> None:
        self.clock: Clock = frame.clock
        self.base_url = f"{frame.base_url}/paypal"
        self.signer = Signer(f"{self.base_url}/v1/notifications/certs/CERT-sandbox")
        self.on_reset: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """An empty account with default settings."""
        self.orders: dict[str, JsonObject] = {}
        self.captures: dict[str, JsonObject] = {}
        self.refunds: dict[str, JsonObject] = {}
        self.disputes: dict[str, JsonObject] = {}
        self.events: list[JsonObject] = []
        self.tokens: dict[str, float] = {}
        self.requests: dict[str, JsonObject] = {}
        self.settings: JsonObject = copy.deepcopy(SETTINGS)
        self.switches: list[str] = []
        for forget in self.on_reset:
            forget()

    def snapshot(self) -> JsonObject:
        """The whole account."""
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, saved: JsonObject) -> None:
        """Take over a saved account."""
        for name in SAVED:
            setattr(self, name, saved[name])

    def now(self) -> str:
        """The present second."""
        return datetime.fromtimestamp(self.clock.seconds(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def link(self, path: str, rel: str, method: str = "GET") -> JsonObject:
        """A link of an answer."""
        return {"href": f"{self.base_url}{path}", "rel": rel, "method": method}

    def record(self, event_type: str, resource_type: str, resource: JsonObject) -> None:
        """An event, signed as it is sent; what it says of its object never changes."""
        content = {
            "id": new_id("WH-", 17),
            "event_version": "1.0",
            "create_time": self.now(),
            "resource_type": resource_type,
            "resource_version": "2.0",
            "event_type": event_type,
            "summary": event_type,
            "resource": copy.deepcopy(resource),
        }
        body = json.dumps(content, separators=(", ", ":"))
        webhook = "0AA00000AA000000A" if "other_webhook" in self.switches else WEBHOOK_ID
        headers = self.signer.headers(body.encode(), webhook, self.now(), is_forged="forged" in self.switches)
        state = "dropped" if "drop" in self.switches else "waiting"
        copies = 2 if "duplicate" in self.switches else 1
        event = {"id": content["id"], "type": event_type, "body": body, "headers": headers, "state": state}
        self.events.append(event | {"copies": copies, "tries": 0, "due_at": self.clock.now()})


def new_id(prefix: str = "", length: int = 17) -> str:
    """A fresh id in PayPal's letters."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))


def amount_of(value: object) -> Decimal:
    """A valid amount. Raises PayPalError."""
    if not isinstance(value, dict) or not isinstance(value.get("value"), str):
        raise PayPalError(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX")
    currency = value.get("currency_code")
    if currency not in CURRENCIES:
        raise unprocessable("CURRENCY_NOT_SUPPORTED")
    try:
        number = Decimal(value["value"])
    except InvalidOperation as error:
        raise PayPalError(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX") from error
    if number <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE")
    decimals = -int(number.as_tuple().exponent)
    if currency in WHOLE and decimals > 0:
        raise unprocessable("DECIMALS_NOT_SUPPORTED")
    if decimals > 2:
        raise unprocessable("DECIMAL_PRECISION")
    return number


def money(amount: Decimal, currency: str) -> JsonObject:
    """An amount as PayPal writes it."""
    places = Decimal(1) if currency in WHOLE else Decimal("0.01")
    return {"currency_code": currency, "value": str(amount.quantize(places))}
