"""Everything one merchant has at Tripay: transactions and the callbacks about them."""

import copy
import hashlib
import hmac
import json
from collections.abc import Callable

from sandbox.clock import Clock
from sandbox.frame import Frame
from sandbox.state import JsonObject
from sandbox.tripay.channels import CHANNELS, Channel

LIVE_KEY, TEST_KEY, PRIVATE_KEY, MERCHANT = "sim-api-key-001", "DEV-sim-api-key-001", "sim-private-key-001", "T12345"
OTHER_PRIVATE_KEY = "sim-private-key-of-another-merchant"
EVENT = "payment_status"
DEFAULT_LIFETIME = 86_400
SETTINGS: JsonObject = {"callback_url": "", "lag_seconds": 0, "amount_includes_fee": False, "timeout": 10.0}
"""What tests may change: where callbacks go, how long a new status stays unseen unless `check-status` asks, and whether
`amount` in answers includes what the customer pays of the fee (Tripay's documents do not say)."""
SWITCHES = ("drop", "duplicate", "hold", "before_answer", "bad_signature", "other_key", "unknown_event")
SAVED = ("count", "transactions", "callbacks", "settings", "switches")


class Refused(Exception):
    """An answer with `success: false`; the text is its message."""


class Merchant:
    """The merchant's account. Amounts are whole rupiah, times unix seconds of the sandbox clock."""

    name = "tripay"

    def __init__(self, frame: Frame) -> None:
        self.clock: Clock = frame.clock
        self.base_url = f"{frame.base_url}/tripay"
        self.on_reset: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """No transactions, default settings."""
        self.count = 0
        self.transactions: dict[str, JsonObject] = {}
        self.callbacks: list[JsonObject] = []
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

    def create(self, body: JsonObject, *, is_live: bool) -> JsonObject:
        """A transaction; the same `merchant_ref` again makes another one that can be paid as well. Raises Refused."""
        now = self.clock.now()
        channel, expires = accepted(body, now)
        amount, reference = body["amount"], body["merchant_ref"]
        fee_merchant, fee_customer = channel.fees(amount)
        self.count += 1
        number = f"{'' if is_live else 'DEV-'}{MERCHANT}{self.count:016d}"
        checkout = f"{self.base_url}/checkout/{number}"
        self.transactions[number] = {
            "reference": number,
            "merchant_ref": reference,
            "payment_selection_type": "static",
            "payment_method": channel.code,
            "payment_name": channel.name,
            "customer_name": body["customer_name"],
            "customer_email": body["customer_email"],
            "customer_phone": body.get("customer_phone"),
            "callback_url": body.get("callback_url"),
            "return_url": body.get("return_url"),
            "amount": amount + (fee_customer if self.settings["amount_includes_fee"] else 0),
            "fee_merchant": fee_merchant,
            "fee_customer": fee_customer,
            "total_fee": fee_merchant + fee_customer,
            "amount_received": amount - fee_merchant,
            "pay_code": None if channel.is_redirect or channel.code == "QRIS" else "078123456789012",
            "pay_url": checkout if channel.is_redirect else None,
            "checkout_url": checkout,
            "status": "UNPAID",
            "expired_time": expires,
            "order_items": body["order_items"],
            "instructions": [{"title": "ATM", "steps": ["Pilih <b>Transfer</b>", "Masukkan kode bayar"]}],
            "qr_string": "000201" if channel.code == "QRIS" else None,
            "qr_url": f"{checkout}/qr" if channel.code == "QRIS" else None,
            "created_at": int(now),
            "paid_at": None,
            "changed_at": now,
            "status_before": "UNPAID",
        }
        return self.transactions[number]

    def find(self, reference: str) -> JsonObject:
        """A transaction. Raises Refused."""
        if reference not in self.transactions:
            raise Refused("Transaksi tidak ditemukan")
        return self.transactions[reference]

    def pay(self, reference: str) -> bool:
        """The customer pays; whether the code was still good."""
        self.expire_due()
        if self.find(reference)["status"] != "UNPAID":
            return False
        self.change(reference, "PAID")
        return True

    def change(self, reference: str, status: str) -> None:
        """Give a transaction another status, also late, and write its callback. UNPAID has none."""
        row, now = self.find(reference), self.clock.now()
        row |= {"status_before": row["status"], "status": status, "changed_at": now}
        if status == "PAID":
            row["paid_at"] = int(now)
        self.callbacks.append(self._callback(row))

    def expire_due(self) -> None:
        """Transactions whose lifetime is over."""
        for row in list(self.transactions.values()):
            if row["status"] == "UNPAID" and row["expired_time"] <= self.clock.now():
                self.change(row["reference"], "EXPIRED")

    def visible(self, row: JsonObject) -> JsonObject:
        """A transaction as it can be read now: a new status may not have come through from the bank yet."""
        is_hidden = row["changed_at"] + self.settings["lag_seconds"] > self.clock.now()
        return row | {"status": row["status_before"]} if is_hidden else row

    def check(self, row: JsonObject) -> str:
        """Ask the bank: the status, which can be read from now on."""
        row["changed_at"] = 0
        return str(row["status"])

    def _callback(self, row: JsonObject) -> JsonObject:
        """A callback as it is sent: its bytes are spaced oddly and have escaped slashes, and are signed as they are."""
        names = ("reference", "merchant_ref", "fee_merchant", "fee_customer", "total_fee", "amount_received", "status")
        content = {name: row[name] for name in names} | {
            "payment_method": row["payment_name"],
            "payment_method_code": row["payment_method"],
            "total_amount": row["amount_received"] + row["total_fee"],
            "is_closed_payment": 1,
            "paid_at": row["paid_at"],
            "note": "https://shop.example/",
        }
        body = json.dumps(content, separators=(" ,", " : ")).replace("/", "\\/")
        key = OTHER_PRIVATE_KEY if "other_key" in self.switches else PRIVATE_KEY
        return {
            "id": f"cb_{len(self.callbacks) + 1}",
            "url": row["callback_url"] or self.settings["callback_url"],
            "body": body,
            "event": "payment_refreshed" if "unknown_event" in self.switches else EVENT,
            "signature": "0" * 64 if "bad_signature" in self.switches else signature(key, body.encode()),
            "state": next((name for name in ("drop", "hold") if name in self.switches), "waiting"),
            "copies": 2 if "duplicate" in self.switches else 1,
            "tries": [],
            "due_at": self.clock.now(),
        }


def accepted(body: JsonObject, now: float) -> tuple[Channel, int]:
    """The channel of a request that is right, and when its transaction expires. Raises Refused."""
    channel, reference, amount = CHANNELS.get(str(body.get("method"))), body.get("merchant_ref"), body.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool) or not isinstance(reference, str) or not reference:
        raise Refused("Parameter tidak lengkap")
    if body.get("signature") != signature(PRIVATE_KEY, f"{MERCHANT}{reference}{amount}".encode()):
        raise Refused("Invalid signature")
    if channel is None or not channel.is_active:
        raise Refused("Channel pembayaran tidak aktif")
    if not channel.min_amount <= amount <= channel.max_amount:
        raise Refused("Jumlah di luar batas channel")
    if amount != sum(item["price"] * item["quantity"] for item in body.get("order_items") or []):
        raise Refused("Total order_items tidak sama dengan amount")
    if "@" not in str(body.get("customer_email")) or not body.get("customer_name"):
        raise Refused("Invalid customer email")
    expires = int(body.get("expired_time") or now + min(DEFAULT_LIFETIME, channel.max_seconds))
    if not channel.min_seconds <= expires - now <= channel.max_seconds:
        raise Refused("Invalid expired_time")
    return channel, expires


def signature(key: str, content: bytes) -> str:
    """The lower-case hexadecimal HMAC-SHA256."""
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
