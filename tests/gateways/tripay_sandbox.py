"""Tripay's stand-in, as its contract describes it: a small HTTP server of the test process."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.gateways.tripay import EVENT, signature

API_KEY, PRIVATE_KEY, MERCHANT = "DEV-sim-api-key-001", "sim-private-key-001", "T12345"
FLAT_FEE = 4250
# Who pays the fee: the merchant, the customer, or each a half.
CHANNELS: dict[str, dict[str, Any]] = {
    "BRIVA": {"name": "BRI Virtual Account", "minimum": 10_000, "maximum": 10_000_000, "customer": 0},
    "BCAVA": {"name": "BCA Virtual Account", "minimum": 10_000, "maximum": 10_000_000, "customer": FLAT_FEE},
    "INDOMARET": {"name": "Indomaret", "minimum": 10_000, "maximum": 2_500_000, "customer": FLAT_FEE // 2},
    "MYBVA": {"name": "Maybank Virtual Account", "minimum": 10_000, "maximum": 10_000_000, "is_active": False},
}


class Refused(Exception):
    """An answer with `success: false`."""


@dataclass
class TripaySandbox:
    """The state of the stand-in. Its clock is set by the test."""

    url: str = ""
    now: float = field(default_factory=lambda: datetime.now(tz=UTC).timestamp())
    transactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    answers_to_lose: int = 0
    requests_to_drop: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A transaction; the same `merchant_ref` again makes another one."""
        channel, amount, reference = CHANNELS.get(body["method"]), body["amount"], body["merchant_ref"]
        if body["signature"] != signature(PRIVATE_KEY, f"{MERCHANT}{reference}{amount}".encode()):
            raise Refused("Invalid signature")
        if channel is None or not channel.get("is_active", True):
            raise Refused("Channel tidak aktif")
        if not channel["minimum"] <= amount <= channel["maximum"]:
            raise Refused("Jumlah di luar batas")
        if amount != sum(item["price"] * item["quantity"] for item in body["order_items"]):
            raise Refused("Total item tidak sama")
        if "@" not in body["customer_email"] or not body["customer_name"]:
            raise Refused("Invalid customer email")
        if not 900 <= body["expired_time"] - self.now <= 30 * 86_400:
            raise Refused("Invalid expired time")
        fee_customer = channel["customer"]
        number = f"DEV-{MERCHANT}{len(self.transactions) + 1:016d}"
        self.transactions[number] = {
            "reference": number,
            "merchant_ref": reference,
            "payment_selection_type": "static",
            "payment_method": body["method"],
            "payment_name": channel["name"],
            "customer_name": body["customer_name"],
            "customer_email": body["customer_email"],
            "amount": amount,
            "fee_merchant": FLAT_FEE - fee_customer,
            "fee_customer": fee_customer,
            "total_fee": FLAT_FEE,
            "amount_received": amount + fee_customer - FLAT_FEE,
            "pay_code": "578123456789012",
            "pay_url": None,
            "checkout_url": f"https://tripay.co.id/checkout/{number}",
            "status": "UNPAID",
            "expired_time": body["expired_time"],
            "paid_at": None,
        }
        return self.transactions[number]

    def answer(self, path: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        """The `data` of an answer."""
        self.expire_due()
        if path == "transaction/create":
            return self.create(body)
        if path == "transaction/detail":
            if query["reference"] not in self.transactions:
                raise Refused("Transaksi tidak ditemukan")
            found = self.transactions[query["reference"]]
            return found | {"paid_at": found["paid_at"] and str(found["paid_at"])}
        if path == "merchant/transactions":
            rows = [row for row in self.transactions.values() if row["merchant_ref"] == query["merchant_ref"]]
            return [row | {"pay_code": int(row["pay_code"])} for row in reversed(rows)]
        if path == "merchant/payment-channel":
            return [
                {
                    "code": code,
                    "name": channel["name"],
                    "type": "direct",
                    "fee_customer": {"flat": channel.get("customer", 0), "percent": 0},
                    "minimum_amount": channel["minimum"],
                    "maximum_amount": channel["maximum"],
                    "active": channel.get("is_active", True),
                }
                for code, channel in CHANNELS.items()
            ]
        raise Refused("Not found")

    def pay(self, reference: str) -> bool:
        """The customer pays at the bank; whether the code was still good."""
        with self.lock:
            self.expire_due()
            if self.transactions[reference]["status"] != "UNPAID":
                return False
            self.change(reference, "PAID")
            return True

    def change(self, reference: str, status: str) -> None:
        """Give a transaction another status, also late, and write its callback."""
        with self.lock:
            row = self.transactions[reference]
            row["status"], row["paid_at"] = status, int(self.now) if status == "PAID" else None
            names = (
                "reference",
                "merchant_ref",
                "fee_merchant",
                "fee_customer",
                "total_fee",
                "amount_received",
                "status",
            )
            content = {name: row[name] for name in names} | {
                "payment_method": row["payment_name"],
                "payment_method_code": row["payment_method"],
                "total_amount": row["amount"] + row["fee_customer"],
                "is_closed_payment": 1,
                "paid_at": row["paid_at"],
                "note": "https:\\/\\/shop.example",
            }
            self.callbacks.append(content)

    def expire_due(self) -> None:
        """Transactions whose lifetime is over."""
        for row in list(self.transactions.values()):
            if row["status"] == "UNPAID" and row["expired_time"] <= self.now:
                self.change(row["reference"], "EXPIRED")

    def signed_callbacks(self, key: str = PRIVATE_KEY) -> list[dict[str, Any]]:
        """Each callback as arguments of the test client's `post`: bytes with odd spacing, signed as they are."""
        requests = []
        for content in self.callbacks:
            body = json.dumps(content, separators=(" ,", " : ")).encode()
            headers = {"X-Callback-Event": EVENT, "X-Callback-Signature": signature(key, body)}
            requests.append({"data": body, "content_type": "application/json", "headers": headers})
        return requests


def handler_of(sandbox: TripaySandbox) -> type[BaseHTTPRequestHandler]:
    """The requests of one stand-in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply({})

        def do_POST(self) -> None:
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, body: dict[str, Any]) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            path = parts.path.removeprefix("/api-sandbox/")
            with sandbox.lock:
                is_creation = path == "transaction/create"
                if is_creation and sandbox.requests_to_drop:
                    sandbox.requests_to_drop -= 1
                    return
                try:
                    if self.headers["Authorization"] != f"Bearer {API_KEY}":
                        raise Refused("Invalid API Key")
                    answer: dict[str, Any] = {"success": True, "message": "", "data": sandbox.answer(path, query, body)}
                except Refused as error:
                    answer = {"success": False, "message": str(error)}
                if is_creation and sandbox.answers_to_lose:
                    sandbox.answers_to_lose -= 1
                    return
            content = json.dumps(answer).encode()
            self.send_response(200 if answer["success"] else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing is printed."""

    return Handler


@contextmanager
def running() -> Iterator[TripaySandbox]:
    """A stand-in during the block."""
    sandbox = TripaySandbox()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(sandbox))
    sandbox.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield sandbox
    finally:
        server.shutdown()
        server.server_close()
