"""What the shared suite does at each gateway: the buyer's part, the gateway's messages, and its faults."""

from datetime import datetime
from typing import Any, Protocol

from billing.models import GatewayAccount, Payment
from billing.reconciliation.balance import book_balance_transactions
from sandbox.client import Sandbox
from tests.gateways import tripay_sandbox
from tests.gateways.tripay_sandbox import TripaySandbox
from tests.shop import signed, signed_events

FORGED = "whsec_somebody_elses"


class Adapter(Protocol):
    """One gateway with its stand-in."""

    code: str
    currency: str
    minor: int  # a price that it takes

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

    code, currency, minor = "stripe", "USD", 800

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

    code, currency, minor = "tripay", "IDR", 150_000_00

    def __init__(self, sandbox: TripaySandbox) -> None:
        self.sandbox = sandbox
        credentials = {
            "api_key": tripay_sandbox.API_KEY,
            "private_key": tripay_sandbox.PRIVATE_KEY,
            "merchant_code": tripay_sandbox.MERCHANT,
            "base": sandbox.url,
        }
        GatewayAccount.objects.filter(code="stripe").update(currencies=["USD"])
        GatewayAccount.objects.create(
            code=self.code, kind="tripay", name="Tripay", credentials=credentials, currencies=[self.currency]
        )

    def choose(self, payment: Payment) -> None:
        Payment.objects.filter(pk=payment.pk).update(channel="INDOMARET")  # whose fee is shared

    def sessions(self) -> list[str]:
        return list(self.sandbox.transactions)

    def pay(self, reference: str) -> bool:
        return self.sandbox.pay(reference)

    def signed(self) -> list[dict[str, Any]]:
        return self.sandbox.signed_callbacks()

    def forged(self) -> list[dict[str, Any]]:
        return self.sandbox.signed_callbacks(FORGED)

    def false_claim(self, reference: str) -> dict[str, Any]:
        self.sandbox.change(reference, "PAID")
        message = self.signed()[-1]
        self.sandbox.transactions[reference]["status"] = "UNPAID"
        return message

    def lose_answer(self) -> None:
        self.sandbox.answers_to_lose = 1

    def lose_request(self) -> None:
        self.sandbox.requests_to_drop = 1

    def restore(self) -> None:
        self.sandbox.answers_to_lose = self.sandbox.requests_to_drop = 0

    def advance(self, seconds: float) -> None:
        self.sandbox.now += seconds
        self.sandbox.expire_due()

    def book_fees(self, at: datetime) -> None:
        """Its receipts say them."""

    def held(self) -> int:
        paid = (row for row in self.sandbox.transactions.values() if row["status"] == "PAID")
        return sum(row["amount_received"] * 100 for row in paid)
