"""The driver of Tripay accounts: transactions as checkout sessions, and the channels by which they are paid.

Tripay has no idempotency keys and no call that refunds or closes a transaction. Each request has a `merchant_ref` of
its own, made of our payment's id and the number of the request, by which a transaction is found whose answer was lost.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from billing.gateways.abilities import Channel
from billing.gateways.base import (
    MIN_SESSION_LIFETIME,
    CheckoutRequest,
    CheckoutSession,
    CheckoutSessionStatus,
    GatewayPayment,
    GatewayRefund,
    RefundStatus,
    Transaction,
)
from billing.gateways.tripay.client import TEST_KEY_PREFIX, from_rupiah, signature, to_rupiah, whole
from billing.gateways.tripay.webhooks import Webhooks
from core.credentials import CredentialField
from core.money import Money
from core.outside import OutsideError, Rejected

STATUSES = {
    "UNPAID": CheckoutSessionStatus.OPEN,
    "PAID": CheckoutSessionStatus.PAID,
    "REFUND": CheckoutSessionStatus.PAID,
    "EXPIRED": CheckoutSessionStatus.EXPIRED,
    "FAILED": CheckoutSessionStatus.FAILED,
}
# The bank may know more than Tripay has read: `check-status` makes it ask.
MAY_CHANGE = frozenset({"UNPAID", "EXPIRED"})
REFERENCE = re.compile(r"([0-9a-f]{32})-[0-9]{5}")
PER_PAGE = 50  # Tripay's maximum
# How long a transaction may be open; the channel list does not say it. A minute is left for clocks that differ.
MARGIN = timedelta(minutes=1)
MAX_LIFETIMES = {
    **dict.fromkeys(("QRIS", "DANA", "SHOPEEPAY"), timedelta(minutes=60)),
    **dict.fromkeys(("BSIVA", "MUAMALATVA"), timedelta(minutes=180)),
}
MAX_LIFETIME = timedelta(hours=24)  # of every other channel, at least
HOUR_AT_LEAST = frozenset({
    "PERMATAVA", "BRIVA", "MANDIRIVA", "BSIVA", "MUAMALATVA", "ALFAMART", "ALFAMIDI",
})  # fmt: skip


class TripayDriver(Webhooks):
    """One Tripay account."""

    CREDENTIALS: Sequence[CredentialField] = (
        CredentialField("merchant_code", _("Merchant code"), _("Begins with T."), is_secret=False),
        CredentialField("api_key", _("API key"), _("Keys of the sandbox begin with DEV-.")),
        CredentialField("private_key", _("Private key"), _("Signs requests and callbacks.")),
    )
    HAS_IDEMPOTENCY_KEYS = False
    SAVES_METHODS = False
    CURRENCIES = frozenset({"IDR"})

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """A new transaction: every call creates another one that can be paid."""
        lines = [(line.description, to_rupiah(line.unit), line.quantity) for line in request.lines]
        amount, reference = (
            sum(unit * quantity for _name, unit, quantity in lines),
            merchant_ref(request.payment_id, request.attempt),
        )
        latest = MAX_LIFETIMES.get(request.channel, MAX_LIFETIME) - MARGIN
        expires_at = request.expires_at
        if request.requested_at is not None:
            expires_at = min(expires_at, request.requested_at + latest)
        body = {
            "method": request.channel,
            "merchant_ref": reference,
            "amount": amount,
            "customer_name": request.buyer_name,
            "customer_email": request.buyer_email,
            "order_items": [{"name": name, "price": unit, "quantity": quantity} for name, unit, quantity in lines],
            "return_url": request.success_url,
            "expired_time": int(expires_at.timestamp()),
            "signature": signature(self.private_key, f"{self.merchant_code}{reference}{amount}".encode()),
        }
        return _session(self.write("/transaction/create", body).get("data"))

    def session_lifetime(self, channel: str) -> timedelta:
        """An hour where the channel has no shorter one."""
        return timedelta(hours=1) + 2 * MARGIN if channel in HOUR_AT_LEAST else MIN_SESSION_LIFETIME

    def find_sessions(self, *, customer: str, payment_id: UUID, attempts: int) -> list[CheckoutSession]:
        """The transactions of every request that was made for the payment."""
        found = []
        for attempt in range(1, attempts + 1):
            reference = merchant_ref(payment_id, attempt)
            listed = self.read("/merchant/transactions", merchant_ref=reference, per_page=PER_PAGE).get("data") or []
            found += [self.read_session(row["reference"]) for row in listed if row.get("merchant_ref") == reference]
        return found

    def read_session(self, reference: str) -> CheckoutSession:
        """The transaction in its current state."""
        return _session(self._detail(reference))

    def read_transaction(self, reference: str) -> Transaction:
        """To which payment a transaction belongs, and what arrived by it."""
        session = self.read_session(reference)
        return Transaction(reference, session.payment_id, customer="", payment=session.payment)

    def read_refund(self, reference: str) -> GatewayRefund:
        """The refund of a whole transaction, which Tripay's staff made. Its reference is the transaction's."""
        data = self._detail(reference)
        if data.get("status") != "REFUND":
            raise Rejected(f"Tripay transaction {reference}: {data.get('status')}, and not refunded")
        return GatewayRefund(reference, reference, _asked_for(data), RefundStatus.SUCCEEDED)

    def list_channels(self, amount: Money) -> Sequence[Channel]:
        """Active channels within whose limits the amount is, with the customer's part of the fee."""
        rupiah, found = to_rupiah(amount), []
        for row in self.read("/merchant/payment-channel").get("data") or []:
            lowest, highest = row.get("minimum_amount") or 0, row.get("maximum_amount") or rupiah
            if row["active"] and lowest <= rupiah <= highest:
                found.append(Channel(row["code"], row["name"], from_rupiah(_customer_fee(row, rupiah))))
        return found

    def check_keys(self) -> None:
        """The channel list needs the API key."""
        self.read("/merchant/payment-channel")

    def _detail(self, reference: str) -> Mapping[str, Any]:
        data = self.read("/transaction/detail", reference=reference).get("data")
        if isinstance(data, Mapping) and data.get("status") in MAY_CHANGE:
            with suppress(OutsideError):  # what can be read decides
                self.read("/transaction/check-status", reference=reference)
                data = self.read("/transaction/detail", reference=reference).get("data")
        if not isinstance(data, Mapping):
            raise Rejected(f"Tripay transaction {reference}: the answer has no data")
        return data


def merchant_ref(payment_id: UUID, attempt: int) -> str:
    """Our reference of one request. Its length is fixed: nothing separates it from the amount where both are signed."""
    return f"{payment_id.hex}-{attempt:05d}"


def _session(data: Any) -> CheckoutSession:
    if not isinstance(data, Mapping) or data.get("status") not in STATUSES:
        raise Rejected("Tripay: a transaction of unknown status")
    status, reference = STATUSES[data["status"]], str(data["reference"])
    known = REFERENCE.fullmatch(str(data.get("merchant_ref")))
    payment_id = UUID(known[1]) if known else None
    amount, paid = _asked_for(data), None
    if status is CheckoutSessionStatus.PAID:
        paid = GatewayPayment(
            transaction_id=reference,
            amount=amount,
            is_live=not reference.startswith(TEST_KEY_PREFIX),
            fee=from_rupiah(whole(data, "fee_merchant")),
            payment_id=payment_id,
            method_label=str(data.get("payment_name") or "")[:64],
        )
    url = str(data.get("pay_url") or data.get("checkout_url") or "") if status is CheckoutSessionStatus.OPEN else ""
    return CheckoutSession(reference, url, status, payment_id, total=amount, payment=paid)


def _asked_for(data: Mapping[str, Any]) -> Money:
    """What we asked for. Tripay's `amount` may include the customer's part of the fee: its documents do not say.

    What is certain is what we get, and what is kept of it.
    """
    merchant, customer = whole(data, "fee_merchant"), whole(data, "fee_customer")
    if whole(data, "total_fee") != merchant + customer:
        raise Rejected("Tripay: the parts of a fee are not its total")
    return from_rupiah(whole(data, "amount_received") + merchant)


def _customer_fee(row: Mapping[str, Any], rupiah: int) -> int:
    """What the customer pays of the channel's fee on an amount; the least fee only where they pay all of it."""
    fee, merchant = row["fee_customer"], row.get("fee_merchant") or {}
    own = Decimal(str(fee["flat"])) + Decimal(rupiah) * Decimal(str(fee["percent"])) / 100
    if own and row.get("minimum_fee") is not None and not any(merchant.values()):
        own = max(own, Decimal(str(row["minimum_fee"])))
    return int(own.to_integral_value(ROUND_HALF_UP))
