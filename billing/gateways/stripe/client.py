"""The one door to Stripe's library: its version, time limits, retries and address are set here."""

import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import stripe
from django.conf import settings

from billing.gateways.stripe.errors import translated
from core.outside import OutsideError, Rejected, Unavailable, Unknown, refuse_transaction, requests_session
from core.outside.limits import HostLimits, limits_of
from core.outside.transport import CONNECT_TIMEOUT, READ_TIMEOUT

API_VERSION = "2026-10-28.endive"
API_BASE = "https://api.stripe.com"
RETRIES = 2  # within one call and under one idempotency key
PER_PAGE = 100  # the most that a list answers at once
stripe.enable_telemetry = False


@lru_cache(maxsize=8)
def _client(key: str, base: str) -> stripe.StripeClient:
    timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
    session = requests_session(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT)
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        max_network_retries=RETRIES,
        base_addresses={"api": base},
        http_client=stripe.RequestsClient(timeout=timeout, session=session),
    )


# A forked process must not share its parent's connections.
os.register_at_fork(after_in_child=_client.cache_clear)


def base_address() -> str:
    """Stripe, or what stands in for it."""
    return settings.STRIPE_API_BASE or API_BASE


def secret_key() -> str:
    """The configured key. Unavailable while there is none."""
    if not settings.STRIPE_SECRET_KEY:
        raise Unavailable("Stripe is not set up: STRIPE_SECRET_KEY is empty")
    return str(settings.STRIPE_SECRET_KEY)


def is_live() -> bool:
    """Whether the configured key moves real money."""
    return "_live_" in str(settings.STRIPE_SECRET_KEY)


def ask[Answer](call: str, question: Callable[[stripe.StripeClient], Answer]) -> Answer:
    """Read something from Stripe; Unavailable or Rejected where that fails."""
    return _exchange(call, question, is_read=True)


def ask_all(call: str, question: Callable[[stripe.StripeClient, Any], Any], **filters: str) -> Iterator[Any]:
    """All rows of a list, newest first; each further page is a question of its own, with the errors of `ask`."""
    params: dict[str, Any] = {**filters, "limit": PER_PAGE}
    while True:
        page = ask(call, partial(_with, question, params))
        yield from page.data
        if not page.has_more or not page.data:
            return
        params = {**params, "starting_after": page.data[-1].id}


def _with(question: Callable[[stripe.StripeClient, Any], Any], params: Any, made: stripe.StripeClient) -> Any:
    return question(made, params)


def tell[Answer](call: str, order: Callable[[stripe.StripeClient], Answer]) -> Answer:
    """Have Stripe do something, under the idempotency key the order carries; Unknown where the answer was lost."""
    return _exchange(call, order, is_read=False)


def _exchange[Answer](call: str, made: Callable[[stripe.StripeClient], Answer], *, is_read: bool) -> Answer:
    refuse_transaction(call)
    client = _client(secret_key(), base_address())
    gate = _gate()
    with gate.slot(call):
        try:
            with translated(call, is_read=is_read):
                answer = made(client)
            _require_own(call, answer, is_read=is_read)
        except OutsideError as error:
            _note(gate, error)
            raise
        gate.breaker.record_success()
    return answer


def _require_own(call: str, answer: object, *, is_read: bool) -> None:
    """A success of another shape comes from somebody in between, and tells nothing of what Stripe did."""
    if not getattr(answer, "object", None):
        kind = Unavailable if is_read else Unknown
        raise kind(f"{call}: the answer is not Stripe's", status=200)


def _gate() -> HostLimits:
    parts = urlsplit(base_address())
    return limits_of(f"{parts.scheme}://{parts.hostname}:{parts.port or ''}")


def _note(gate: HostLimits, error: OutsideError) -> None:
    """A refusal shows that Stripe is well; silence counts against it."""
    if isinstance(error, Rejected) or error.status is not None:
        gate.breaker.record_success()
    else:
        gate.breaker.record_failure()
