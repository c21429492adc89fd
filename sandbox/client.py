"""Talking to a running sandbox from tests and the demo: faults, clock, mail, payments and webhooks."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import requests

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 30
READY_WORD = "SANDBOX"


class SandboxError(Exception):
    """The sandbox did not start or refused a control request; the text gives the reason."""


@dataclass(frozen=True)
class PaymentOutcome:
    """Where the hosted page sent the buyer: `url` is the shop's address, empty when the payment was refused."""

    status: int
    url: str
    page: str

    @property
    def is_accepted(self) -> bool:
        """Whether the buyer was sent back to the shop."""
        return self.status == 303


class Sandbox:
    """A running sandbox at `base_url`."""

    def __init__(self, base_url: str, smtp_port: int | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.smtp_port = smtp_port
        self._http = requests.Session()
        self._http.trust_env = False

    def __enter__(self) -> Self:
        """Use the connection pool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        self._http.close()

    @property
    def stripe_url(self) -> str:
        """The base address for Stripe's library."""
        return f"{self.base_url}/stripe"

    @property
    def paypal_url(self) -> str:
        """The base address for PayPal's calls."""
        return f"{self.base_url}/paypal"

    @property
    def tripay_url(self) -> str:
        """The base address for Tripay's calls."""
        return f"{self.base_url}/tripay"

    @property
    def virtfusion_url(self) -> str:
        """The control server's base address."""
        return f"{self.base_url}/virtfusion"

    @property
    def panel_url(self) -> str:
        """The panel's base address."""
        return f"{self.base_url}/pterodactyl"

    @property
    def digitalocean_url(self) -> str:
        """DigitalOcean's base address."""
        return f"{self.base_url}/digitalocean"

    @property
    def hytale_url(self) -> str:
        """The base address of all of Hytale's services."""
        return f"{self.base_url}/hytale"

    def reset(self, service: str | None = None) -> None:
        """Bring one service (`stripe`, `pterodactyl`, `mail`), or everything and the clock, back to the start."""
        self._control("POST", "/reset", {"service": service})

    def arm(self, service: str, match: str, kind: str, **options: Any) -> dict[str, Any]:
        """Arm a fault: `kind` is delay, lose_answer, status, late_status, drop, hang, html or huge.

        Options are status, headers, seconds, times (0: always), after and is_each. Raises SandboxError.
        """
        return self._control("POST", "/faults", {"service": service, "match": match, "kind": kind, **options})

    def faults(self) -> list[dict[str, Any]]:
        """The armed faults with their `hits`."""
        return list(self._control("GET", "/faults")["faults"])

    def clear_faults(self) -> None:
        """Disarm every fault."""
        self._control("DELETE", "/faults")

    def requests(self, service: str | None = None, match: str | None = None) -> list[dict[str, Any]]:
        """The requests seen, oldest first, such as those fitting `POST /v1/refunds`."""
        wanted = {"service": service, "match": match}
        return list(self._control("GET", "/requests", params=wanted)["requests"])

    def advance(self, seconds: float) -> float:
        """Move the sandbox clock forward and return its new instant in unix seconds."""
        return float(self._control("POST", "/clock", {"advance": seconds})["now"])

    def set_clock(self, at: float | None) -> float:
        """Set the sandbox clock to an instant, or with None back to real time."""
        return float(self._control("POST", "/clock", {"at": at})["now"])

    def now(self) -> float:
        """The sandbox's present instant in unix seconds."""
        return float(self._control("GET", "/clock")["now"])

    def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        """The mail received, oldest first, each with to, subject, text, html and links."""
        answer = self._http.get(f"{self.base_url}/mail.json", params={"to": to}, timeout=TIMEOUT_SECONDS)
        return list(_checked(answer)["mails"])

    def stripe_state(self) -> dict[str, list[dict[str, Any]]]:
        """Every Stripe object by kind, oldest first."""
        return self._control("GET", "/stripe/state")

    def panel_state(self) -> dict[str, Any]:
        """Every object of the panel."""
        return self._control("GET", "/pterodactyl/state")

    def panel_keys(self) -> dict[str, str]:
        """The panel's `url` and its administrator's `application` and `client` key."""
        return self._control("GET", "/pterodactyl/keys")

    def panel_settings(self, **settings: Any) -> dict[str, Any]:
        """Change install_seconds, install_outcome, node_mode and others; all are in `sandbox.pterodactyl.settings`."""
        return self._control("POST", "/pterodactyl/settings", settings)

    def digitalocean_state(self) -> dict[str, Any]:
        """Every droplet, action, key and tag, and the root passwords that would have been mailed."""
        return self._control("GET", "/digitalocean/state")

    def digitalocean_settings(self, **settings: Any) -> dict[str, Any]:
        """Change create_seconds, obeys_shutdown and others; all are in `sandbox.digitalocean.account`."""
        return self._control("POST", "/digitalocean/settings", settings)

    def pay(self, session_url: str, card: str = "pm_card_visa", email: str = "") -> PaymentOutcome:
        """Press the button on a hosted Checkout page, as a browser's form would.

        Raises SandboxError when the page does not exist.
        """
        form = {"card": card, "email": email}
        answer = self._http.post(session_url, data=form, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if answer.status_code == 404:
            raise SandboxError(f"no hosted page at {session_url}")
        target = urljoin(session_url, answer.headers["location"]) if answer.is_redirect else ""
        return PaymentOutcome(answer.status_code, target, answer.text)

    def stripe_endpoint(self, url: str, secret: str, enabled_events: list[str] | None = None) -> dict[str, Any]:
        """Send Stripe events to `url`, signed with `secret`; the same address again replaces it."""
        return self._control(
            "POST", "/stripe/endpoints", {"url": url, "secret": secret, "enabled_events": enabled_events}
        )

    def stripe_settings(self, **settings: Any) -> dict[str, Any]:
        """Change gaps, timeout, idempotency_seconds or work_seconds."""
        return self._control("POST", "/stripe/settings", settings)

    def paypal_settings(self, **settings: Any) -> dict[str, Any]:
        """Change a setting of `sandbox.paypal.account`, such as webhook_url."""
        return self._control("POST", "/paypal/settings", settings)

    def tripay_settings(self, **settings: Any) -> dict[str, Any]:
        """Change a setting of `sandbox.tripay.merchant`, such as callback_url."""
        return self._control("POST", "/tripay/settings", settings)

    def virtfusion_state(self) -> dict[str, Any]:
        """Users and servers of the control server, and its `token`."""
        return self._control("GET", "/virtfusion/state")

    def virtfusion_change(self, path: str, **changes: Any) -> dict[str, Any]:
        """Change `settings` (all are in `sandbox.virtfusion.panel`), or a row such as `servers/881`."""
        return self._control("POST", f"/virtfusion/{path}", changes)

    def hytale_state(self) -> dict[str, Any]:
        """Live sessions and refresh tokens by their tokens, and device codes."""
        return self._control("GET", "/hytale/state")

    def hytale_change(self, path: str, **changes: Any) -> dict[str, Any]:
        """`settings`, `accounts/host`, `decide` or `end-all`, as `sandbox.hytale.service` has them."""
        return self._control("POST", f"/hytale/{path}", changes)

    def webhook_switch(self, kind: str, **options: Any) -> dict[str, Any]:
        """Let delivery misbehave for coming events; kinds are in `sandbox.stripe.switches`.

        Options are types (globs), times (0: until cleared), count, seconds and tries. Raises SandboxError.
        """
        return self._control("POST", "/stripe/switches", {"kind": kind, **options})

    def duplicate_webhooks(self, count: int = 2, **options: Any) -> None:
        """Deliver each coming event `count` times."""
        self.webhook_switch("duplicate", count=count, **options)

    def concurrent_webhooks(self, count: int = 2, **options: Any) -> None:
        """Deliver each coming event `count` times at the same moment."""
        self.webhook_switch("concurrent", count=count, **options)

    def reorder_webhooks(self, seconds: float = 0.3, **options: Any) -> None:
        """Hold coming events for `seconds`, then deliver them newest first."""
        self.webhook_switch("reorder", seconds=seconds, **options)

    def delay_webhooks(self, seconds: float, **options: Any) -> None:
        """Deliver coming events `seconds` late."""
        self.webhook_switch("delay", seconds=seconds, **options)

    def drop_webhooks(self, **options: Any) -> None:
        """Never deliver coming events; the API still lists them."""
        self.webhook_switch("drop", **options)

    def twin_webhooks(self, **options: Any) -> None:
        """Make two events with different ids for each coming fact."""
        self.webhook_switch("twin", **options)

    def webhooks_before_answer(self, **options: Any) -> None:
        """Deliver coming events before the call that causes them is answered."""
        self.webhook_switch("before_answer", **options)

    def clear_webhook_switches(self) -> None:
        """Deliver normally again."""
        self._control("DELETE", "/stripe/switches")

    def deliveries(self) -> list[dict[str, Any]]:
        """Every webhook delivery with its tries."""
        return list(self._control("GET", "/stripe/deliveries")["deliveries"])

    def settle_webhooks(self, seconds: float = 5) -> None:
        """Wait until no delivery is under way.

        Raises SandboxError when some still is after `seconds`.
        """
        if not self._control("POST", "/stripe/settle", {"seconds": seconds})["is_idle"]:
            raise SandboxError(f"webhook deliveries are still under way after {seconds} s")

    def resend(self, event: str) -> None:
        """Deliver an event once more."""
        self._control("POST", f"/stripe/events/{event}/resend")

    def clear_debit(self, payment_intent: str, outcome: str = "succeed") -> dict[str, Any]:
        """End a bank debit under way now: `succeed` or `fail`."""
        return self._control("POST", f"/stripe/payment_intents/{payment_intent}/clear", {"outcome": outcome})

    def return_debit(self, payment_intent: str) -> dict[str, Any]:
        """Let the bank return a debit that had succeeded."""
        return self._control("POST", f"/stripe/payment_intents/{payment_intent}/return")

    def authenticate(self, payment_intent: str, outcome: str = "succeed") -> dict[str, Any]:
        """Answer the bank's question for a PaymentIntent that requires action: `succeed` or `fail`."""
        return self._control("POST", f"/stripe/payment_intents/{payment_intent}/authenticate", {"outcome": outcome})

    def fail_refund(self, refund: str, reason: str = "lost_or_stolen_card") -> dict[str, Any]:
        """Let a refund fail late."""
        return self._control("POST", f"/stripe/refunds/{refund}/fail", {"reason": reason})

    def dispute(self, payment_intent: str, reason: str = "fraudulent", amount: int | None = None) -> dict[str, Any]:
        """Let the buyer's bank dispute a paid PaymentIntent, wholly or for `amount` in minor units."""
        body = {"payment_intent": payment_intent, "reason": reason, "amount": amount}
        return self._control("POST", "/stripe/disputes", body)

    def change_balance(self, kind: str, amount: int, currency: str = "usd") -> dict[str, Any]:
        """Change the balance without a source: a type such as `stripe_fee` or `topup`, in signed minor units."""
        body = {"type": kind, "amount": amount, "currency": currency}
        return self._control("POST", "/stripe/balance_transactions", body)

    def pay_out(self, amount: int, currency: str = "usd") -> dict[str, Any]:
        """Let Stripe send money to the shop's bank account."""
        return self._control("POST", "/stripe/payouts", {"amount": amount, "currency": currency})

    def close_dispute(self, dispute: str, status: str) -> dict[str, Any]:
        """End a dispute as `won` or `lost`."""
        return self._control("POST", f"/stripe/disputes/{dispute}/close", {"status": status})

    def appeal_dispute(self, dispute: str) -> dict[str, Any]:
        """Reopen a lost dispute, which `close_dispute` then decides again."""
        return self._control("POST", f"/stripe/disputes/{dispute}/appeal")

    def _control(
        self, method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        url = f"{self.base_url}/_control{path}"
        try:
            answer = self._http.request(method, url, json=body, params=params, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise SandboxError(f"the sandbox at {self.base_url} does not answer: {error}") from error
        return _checked(answer)


def _checked(answer: requests.Response) -> dict[str, Any]:
    if not answer.ok:
        raise SandboxError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    content = answer.json()
    if not isinstance(content, dict):
        raise SandboxError(f"{answer.url} did not answer an object")
    return content


@contextlib.contextmanager
def start(state_dir: Path | None = None, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], Sandbox]]:
    """Run a sandbox in a process of its own and stop it at the end; port 0 takes any free one.

    Raises SandboxError when it does not come up.
    """
    command = [sys.executable, "-m", "sandbox", "--port", str(port)]
    if state_dir is not None:
        command += ["--state", str(state_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  our own interpreter
        try:
            assert process.stdout is not None  # noqa: S101  the pipe was asked for
            line = process.stdout.readline()
            words = line.split()
            if len(words) != 3 or words[0] != READY_WORD:
                raise SandboxError(f"the sandbox did not start (it said {line!r}; its errors are above)")
            with Sandbox(words[1], int(words[2].removeprefix("smtp="))) as sandbox:
                yield process, sandbox
        finally:
            process.terminate()
