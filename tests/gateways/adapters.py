"""What the shared suite does at each gateway: the buyer's part, the gateway's messages, and its faults."""

from datetime import datetime
from typing import Any, Protocol

from billing.models import GatewayAccount, Payment
from billing.reconciliation.balance import book_balance_transactions
from core.money import Money
from sandbox.client import Sandbox
from sandbox.paypal import payments as paypal_payments
from sandbox.paypal.account import CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID
from sandbox.paypal.signing import Signer
from sandbox.tripay.merchant import EVENT, MERCHANT, PRIVATE_KEY, TEST_KEY, signature
from tests.gateways.stand_in import StandIn
from tests.shop import signed, signed_events

FORGED = "whsec_somebody_elses"
CREATE = "POST /api-sandbox/transaction/create"


class Adapter(Protocol):
    """One gateway with its stand-in."""

    code: str
    currency: str
    minor: int  # a price that it takes
    lists_sessions: bool  # whether one is found whose id was lost; elsewhere nobody can pay in it

    def choose(self, payment: Payment) -> None:
        """The customer chooses how to pay, where there is a choice."""

    def sessions(self) -> list[str]:
        """The references of all sessions at the gateway."""

    def pay(self, reference: str) -> bool:
        """The buyer pays in the session; whether the gateway took the money."""

    def signed(self) -> list[dict[str, Any]]:
        """Every message that the gateway has for us: arguments of the test client's `post`."""

    def forged(self) -> list[dict[str, Any]]:
        """The same messages, signed with another key."""

    def false_claim(self, reference: str) -> dict[str, Any]:
        """A signed message that says of an open session that it was paid."""

    def lose_answer(self) -> None:
        """The next creation of a session is carried out, and its answer is lost."""

    def lose_request(self) -> None:
        """The next creation of a session never arrives."""

    def restore(self) -> None:
        """Nothing is lost any more."""

    def advance(self, seconds: float) -> None:
        """Let time pass at the gateway."""

    def book_fees(self, at: datetime) -> None:
        """Ask for the fees, where the gateway did not say them at once."""

    def held(self) -> int:
        """What the gateway holds for us, in minor units."""


class Stripe:
    """Stripe: every ability."""

    code, currency, minor, lists_sessions = "stripe", "USD", 800, True

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def choose(self, payment: Payment) -> None:
        """There is one way to pay."""

    def sessions(self) -> list[str]:
        return [session["id"] for session in self.sandbox.stripe_state().get("checkout.session", [])]

    def pay(self, reference: str) -> bool:
        found = self.sandbox.stripe_state()["checkout.session"]
        url = next(session["url"] for session in found if session["id"] == reference)
        return bool(url) and self.sandbox.pay(url).is_accepted

    def signed(self) -> list[dict[str, Any]]:
        return signed_events(self.sandbox)

    def forged(self) -> list[dict[str, Any]]:
        return [each | {"headers": {"Stripe-Signature": "t=1,v1=" + "0" * 64}} for each in self.signed()]

    def false_claim(self, reference: str) -> dict[str, Any]:
        about = {"id": reference, "object": "checkout.session", "status": "complete", "payment_status": "paid"}
        kind = "checkout.session.completed"
        return signed(
            {"id": "evt_false", "object": "event", "type": kind, "livemode": False, "data": {"object": about}}
        )

    def lose_answer(self) -> None:
        self.sandbox.arm("stripe", "POST /v1/checkout/sessions", "lose_answer", times=3)  # its library tries again

    def lose_request(self) -> None:
        self.sandbox.arm("stripe", "POST /v1/checkout/sessions", "drop", times=3)

    def restore(self) -> None:
        self.sandbox.clear_faults()

    def advance(self, seconds: float) -> None:
        self.sandbox.advance(seconds)

    def book_fees(self, at: datetime) -> None:
        book_balance_transactions(gateway=self.code, at=at)

    def held(self) -> int:
        return sum(row["net"] for row in self.sandbox.stripe_state().get("balance_transaction", []))


class Tripay:
    """Tripay: the core, and channels."""

    code, currency, minor, lists_sessions = "tripay", "IDR", 150_000_00, True

    def __init__(self, running: StandIn) -> None:
        self.running, self.sandbox = running, running.content
        credentials = {"api_key": TEST_KEY, "private_key": PRIVATE_KEY, "merchant_code": MERCHANT}
        GatewayAccount.objects.filter(code="stripe").update(currencies=["USD"])
        GatewayAccount.objects.create(
            code=self.code, kind="tripay", name="Tripay", credentials=credentials, currencies=[self.currency]
        )

    def choose(self, payment: Payment) -> None:
        Payment.objects.filter(pk=payment.pk).update(channel="INDOMARET")  # whose fee is shared

    def sessions(self) -> list[str]:
        return list(self.sandbox.transactions)

    def pay(self, reference: str) -> bool:
        return bool(self.sandbox.pay(reference))

    def signed(self) -> list[dict[str, Any]]:
        return [self.request(each["body"], each["signature"]) for each in self.sandbox.callbacks]

    def forged(self) -> list[dict[str, Any]]:
        bodies = [each["body"] for each in self.sandbox.callbacks]
        return [self.request(body, signature(FORGED, body.encode())) for body in bodies]

    @staticmethod
    def request(body: str, signed: str) -> dict[str, Any]:
        """A callback as arguments of the test client's `post`."""
        headers = {"X-Callback-Event": EVENT, "X-Callback-Signature": signed}
        return {"data": body.encode(), "content_type": "application/json", "headers": headers}

    def false_claim(self, reference: str) -> dict[str, Any]:
        self.sandbox.change(reference, "PAID")
        self.sandbox.transactions[reference]["status"] = "UNPAID"
        return self.signed()[-1]

    def lose_answer(self) -> None:
        self.running.fault(CREATE, "lose_answer")

    def lose_request(self) -> None:
        self.running.fault(CREATE, "drop")

    def restore(self) -> None:
        self.running.frame.faults.clear(None)

    def advance(self, seconds: float) -> None:
        self.running.frame.clock.advance(seconds)
        self.sandbox.expire_due()

    def book_fees(self, at: datetime) -> None:
        """Its receipts say them."""

    def held(self) -> int:
        paid = (row for row in self.sandbox.transactions.values() if row["status"] == "PAID")
        return sum(row["amount_received"] * 100 for row in paid)


class PayPal:
    """PayPal: its customers approve, and we take the money."""

    code, currency, minor, lists_sessions = "paypal", "EUR", 1250, False

    def __init__(self, running: StandIn) -> None:
        self.running, self.sandbox = running, running.content
        credentials = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "webhook_id": WEBHOOK_ID}
        GatewayAccount.objects.filter(code="stripe").update(currencies=["USD"])
        GatewayAccount.objects.create(
            code=self.code,
            kind="paypal",
            name="PayPal",
            credentials=credentials | {"environment": "sandbox"},
            currencies=[self.currency],
        )

    def choose(self, payment: Payment) -> None:
        """There is one way to pay."""

    def sessions(self) -> list[str]:
        return list(self.sandbox.orders)

    def pay(self, reference: str) -> bool:
        """An approval is worth the money only while our payment is open: of any other we never take it."""
        payment = self.sandbox.orders[reference]["purchase_units"][0]["custom_id"]
        is_open = Payment.objects.filter(pk=payment, state__in=Payment.OPEN).exists()
        return paypal_payments.approve(self.sandbox, reference) and is_open

    def signed(self) -> list[dict[str, Any]]:
        return [self.request(each["body"], each["headers"]) for each in self.sandbox.events]

    def forged(self) -> list[dict[str, Any]]:
        other = Signer(self.sandbox.signer.url)  # another key, and the address of the right certificate
        bodies = [each["body"] for each in self.sandbox.events]
        return [self.request(body, other.headers(body.encode(), WEBHOOK_ID, self.sandbox.now())) for body in bodies]

    @staticmethod
    def request(body: str, headers: dict[str, str]) -> dict[str, Any]:
        """A webhook as arguments of the test client's `post`."""
        return {"data": body.encode(), "content_type": "application/json", "headers": headers}

    def false_claim(self, reference: str) -> dict[str, Any]:
        about = {"id": "3SIMFALSE", "supplementary_data": {"related_ids": {"order_id": reference}}}
        self.sandbox.record("PAYMENT.CAPTURE.COMPLETED", "capture", about)
        return self.signed()[-1]

    def lose_answer(self) -> None:
        self.running.fault("POST /v2/checkout/orders", "lose_answer")

    def lose_request(self) -> None:
        self.running.fault("POST /v2/checkout/orders", "drop")

    def restore(self) -> None:
        self.running.frame.faults.clear(None)

    def advance(self, seconds: float) -> None:
        self.running.frame.clock.advance(seconds)

    def book_fees(self, at: datetime) -> None:
        """Its captures say them."""

    def held(self) -> int:
        taken = (row["seller_receivable_breakdown"]["net_amount"] for row in self.sandbox.captures.values())
        back = (row["amount"] for row in self.sandbox.refunds.values())
        return sum(minor_of(each) for each in taken) - sum(minor_of(each) for each in back)


def minor_of(amount: dict[str, str]) -> int:
    """Minor units of an amount in PayPal's text."""
    return Money.parse(amount["value"], amount["currency_code"]).minor
