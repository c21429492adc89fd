"""A shop's side of Stripe for tests: the real library, and a server that takes webhooks."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import stripe

from sandbox.client import Sandbox

KEY = "sk_test_sandbox"
SECRET = "whsec_shop_test_secret"
DONE = "https://shop.example/done?session={CHECKOUT_SESSION_ID}"

stripe.enable_telemetry = False


def client_for(sandbox: Sandbox, retries: int = 0) -> stripe.StripeClient:
    """The real library, pointed at the stand-in."""
    return stripe.StripeClient(
        KEY,
        base_addresses={"api": sandbox.stripe_url},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=5),
    )


@dataclass
class StripeShop:
    """The stand-in with a library client and the few calls most tests start with."""

    sandbox: Sandbox
    client: stripe.StripeClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = client_for(self.sandbox)

    @property
    def v1(self) -> Any:
        """The library's services, untyped so that tests may send what the types forbid."""
        return self.client.v1

    def make_customer(self, **fields: Any) -> Any:
        """A customer."""
        return self.v1.customers.create({"email": "ada@example.com", **fields})

    def make_session(self, amount: int = 1250, **fields: Any) -> Any:
        """An open payment-mode session over one line."""
        return self.v1.checkout.sessions.create(session_params(amount) | fields)

    def subscribe(self, card: str = "pm_card_visa", **fields: Any) -> Any:
        """A completed monthly subscription session."""
        session = self.v1.checkout.sessions.create(subscription_params() | fields)
        assert self.sandbox.pay(session.url, card).is_accepted
        return self.v1.checkout.sessions.retrieve(session.id)

    def save_card(self, card: str = "pm_card_visa") -> tuple[str, str]:
        """A customer with a saved method: both ids."""
        customer = self.make_customer()
        method = self.v1.payment_methods.attach(card, {"customer": customer.id})
        return customer.id, method.id

    def charge(self, card: str = "pm_card_visa", amount: int = 2000, key: str | None = None, **fields: Any) -> Any:
        """An off-session charge of a freshly saved method."""
        customer, method = self.save_card(card)
        return self.renew(customer, method, amount, key, **fields)

    def renew(self, customer: str, method: str, amount: int = 2000, key: str | None = None, **fields: Any) -> Any:
        """An off-session charge of a saved method."""
        params = {
            "amount": amount,
            "currency": "usd",
            "customer": customer,
            "payment_method": method,
            "off_session": True,
            "confirm": True,
        }
        return self.v1.payment_intents.create(params | fields, {"idempotency_key": key} if key else {})

    def kinds(self) -> list[str]:
        """The types of every event so far, oldest first."""
        return [event["type"] for event in self.sandbox.stripe_state().get("event", [])]


def session_params(amount: int = 1250) -> dict[str, Any]:
    """A payment-mode session over one line."""
    price = {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Game server 4 GB"}}
    return {
        "mode": "payment",
        "client_reference_id": "ord_7f3",
        "line_items": [{"price_data": price, "quantity": 1}],
        "metadata": {"invoice": "inv_901"},
        "payment_intent_data": {"metadata": {"invoice": "inv_901"}},
        "success_url": DONE,
        "cancel_url": "https://shop.example/cart",
    }


def subscription_params() -> dict[str, Any]:
    """A monthly subscription-mode session."""
    price = {
        "currency": "usd",
        "unit_amount": 1250,
        "product_data": {"name": "Game server 4 GB"},
        "recurring": {"interval": "month"},
    }
    return {
        "mode": "subscription",
        "customer_email": "ada@example.com",
        "line_items": [{"price_data": price, "quantity": 1}],
        "subscription_data": {"metadata": {"service": "svc_42"}},
        "success_url": DONE,
    }


@dataclass
class Hook:
    """One webhook as it arrived."""

    body: bytes
    signature: str

    @property
    def event(self) -> Any:
        """The event, after the library checked the signature."""
        return stripe.Webhook.construct_event(self.body, self.signature, SECRET)

    @property
    def is_genuine(self) -> bool:
        """Whether the library accepts signature and age."""
        try:
            return self.event is not None
        except stripe.SignatureVerificationError:
            return False


class Receiver:
    """Answers webhooks with the statuses in `answers` first, then 200."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.answers: list[int] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._lock = threading.Lock()
        self.most_at_once = 0
        self._at_once = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/hooks"

    @property
    def kinds(self) -> list[str]:
        """The types that arrived, in order."""
        return [hook.event["type"] for hook in self.hooks]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, hook: Hook) -> int:
        """Keep one hook and choose its answer."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.hooks.append(hook)
            status = self.answers.pop(0) if self.answers else 200
        threading.Event().wait(0.02)  # long enough for simultaneous deliveries to meet
        with self._lock:
            self._at_once -= 1
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take(Hook(body, self.headers["Stripe-Signature"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler
