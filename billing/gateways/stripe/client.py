"""Calls through Stripe's library: its version, time limits, retries and address, and its errors as ours."""

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import stripe
from django.conf import settings

from billing.gateways.base import KEY_MISMATCH, NOT_AUTHORIZED, REPLAYED_FAILURE
from billing.models import GatewayAccount
from core.outside import OutsideError, Rejected, Unavailable, Unknown, refuse_transaction, requests_session
from core.outside.limits import limits_of
from core.outside.response import retry_after
from core.outside.transport import CONNECT_TIMEOUT, READ_TIMEOUT

API_VERSION = "2026-10-28.endive"
API_BASE = "https://api.stripe.com"
# Checkout, the page on which a bank asks the owner of a card, and the billing portal.
PAGE_ORIGINS = ("https://checkout.stripe.com", "https://hooks.stripe.com", "https://billing.stripe.com")
FIRST_ACCOUNT = "stripe"  # the code of the account that the migration writes
RETRIES = 2  # within one call and under one idempotency key
PER_PAGE = 100  # Stripe's maximum for a list
NOT_CARRIED_OUT = frozenset({409, 429})
REFUSALS = (stripe.CardError, stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError)
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


class StripeClient:
    """Calls to one Stripe account: `secret_key` and `webhook_secret` of its row.

    Only the first account, which the migration writes, may have those of the environment instead.
    """

    def __init__(self, account: GatewayAccount) -> None:
        own = account.credentials or {}
        if not own and account.code == FIRST_ACCOUNT:
            own = {"secret_key": settings.STRIPE_SECRET_KEY, "webhook_secret": settings.STRIPE_WEBHOOK_SECRET}
        self.secret_key, self.webhook_secret = str(own.get("secret_key", "")), str(own.get("webhook_secret", ""))
        self.base = str(settings.STRIPE_API_BASE or API_BASE)

    @staticmethod
    def page_origins() -> list[str]:
        """Stripe's pages; those of a stand-in are where its API is."""
        if not settings.STRIPE_API_BASE:
            return list(PAGE_ORIGINS)
        parts = urlsplit(settings.STRIPE_API_BASE)
        return [f"{parts.scheme}://{parts.netloc}"]

    def is_configured(self) -> bool:
        """Whether both keys are set."""
        return bool(self.secret_key and self.webhook_secret)

    def is_live(self) -> bool:
        """Whether the key moves real money."""
        return "_live_" in self.secret_key

    def read[Answer](self, call: str, request: Callable[[stripe.StripeClient], Answer]) -> Answer:
        """Read something from Stripe; Unavailable or Rejected where that fails. `call` names it in logs."""
        return self._send(call, request, is_read=True)

    def read_all(self, call: str, request: Callable[[stripe.StripeClient, Any], Any], **filters: Any) -> Iterator[Any]:
        """All rows of a list, newest first. Each page is a call of its own, with the errors of `read`."""
        params: dict[str, Any] = {**filters, "limit": PER_PAGE}
        while True:
            page = self.read(call, lambda client, params=params: request(client, params))  # type: ignore[misc]
            yield from page.data
            if not page.has_more or not page.data:
                return
            params = {**params, "starting_after": page.data[-1].id}

    def write[Answer](self, call: str, request: Callable[[stripe.StripeClient], Answer]) -> Answer:
        """Change something at Stripe, under the request's idempotency key; Unknown where the answer was lost."""
        return self._send(call, request, is_read=False)

    def _send[Answer](self, call: str, request: Callable[[stripe.StripeClient], Answer], *, is_read: bool) -> Answer:
        refuse_transaction(call)
        if not self.secret_key:
            raise Unavailable("Stripe is not set up: the account has no secret key")
        client = _client(self.secret_key, self.base)
        parts = urlsplit(self.base)
        limits = limits_of(f"{parts.scheme}://{parts.hostname}:{parts.port or ''}")
        with limits.slot(call):
            try:
                answer = request(client)
            except stripe.StripeError as error:
                outside_error = translate_error(call, error, is_read=is_read)
                if isinstance(outside_error, Rejected) or outside_error.status is not None:
                    limits.breaker.record_success()  # a refusal shows that Stripe is up
                else:
                    limits.breaker.record_failure()
                raise outside_error from None  # the library's text may hold the body
            limits.breaker.record_success()
        if not getattr(answer, "object", None):
            # A success without an object comes from a proxy, and tells nothing of what Stripe did.
            error_class = Unavailable if is_read else Unknown
            raise error_class(f"{call}: the answer is not Stripe's", status=200)
        return answer


def translate_error(call: str, error: stripe.StripeError, *, is_read: bool) -> OutsideError:
    """Unavailable, Unknown or Rejected for an exception of Stripe's library."""
    status, code = error.http_status, str(error.code or "")
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    text = f"{call}: {status or 'no answer'} {code}".strip()
    text_and_param = f"{text} {getattr(error, 'param', '') or ''}".strip()
    if isinstance(error, stripe.RateLimitError) or status in NOT_CARRIED_OUT:
        return Unavailable(text, status=status, code=code, retry_after=retry_after(headers))
    if isinstance(error, stripe.IdempotencyError):
        return Rejected(text, status=status, code=KEY_MISMATCH)
    if is_read and status in NOT_AUTHORIZED:
        return Unavailable(text_and_param, status=status, code=code)
    if isinstance(error, REFUSALS):
        return Rejected(text_and_param, status=status, code=code)
    if is_read:
        return Unavailable(text, status=status, code=code)
    is_replayed = headers.get("idempotent-replayed", "") == "true"
    return Unknown(text, status=status, code=REPLAYED_FAILURE if is_replayed else code)
