"""The library's exceptions as the house's three: Unavailable, Unknown, Rejected."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import stripe

from billing.gateways.base import KEY_MISMATCH, REPLAYED_FAILURE
from core.outside import OutsideError, Rejected, Unavailable, Unknown
from core.outside.response import retry_after

NOT_CARRIED_OUT = frozenset({409, 429})
NOT_ALLOWED = frozenset({401, 403})  # our key is wrong or restricted: that says nothing about what was asked for


@contextmanager
def translated(call: str, *, is_read: bool) -> Iterator[None]:
    """Raise the house's error for whatever Stripe's library raises in the block; `call` names it for logs."""
    try:
        yield
    except stripe.StripeError as error:
        raise _translate(call, error, is_read=is_read) from None  # the library's text may hold the body


def _translate(call: str, error: stripe.StripeError, *, is_read: bool) -> OutsideError:
    status, headers = error.http_status, _headers(error)
    code = str(error.code or "")
    text = f"{call}: {status or 'no answer'} {code}".strip()
    if isinstance(error, stripe.RateLimitError) or status in NOT_CARRIED_OUT:
        return Unavailable(text, status=status, code=code, retry_after=retry_after(headers))
    if isinstance(error, stripe.IdempotencyError):
        return Rejected(text, status=status, code=KEY_MISMATCH)
    if is_read and status in NOT_ALLOWED:
        return Unavailable(f"{text} {_param(error)}".strip(), status=status, code=code)
    if _is_refusal(error):
        return Rejected(f"{text} {_param(error)}".strip(), status=status, code=code)
    if is_read:
        return Unavailable(text, status=status, code=code)
    is_replayed = headers.get("idempotent-replayed", "") == "true"
    return Unknown(text, status=status, code=REPLAYED_FAILURE if is_replayed else code)


def _headers(error: stripe.StripeError) -> Mapping[str, str]:
    return {name.lower(): value for name, value in (error.headers or {}).items()}


def _is_refusal(error: stripe.StripeError) -> bool:
    kinds = (stripe.CardError, stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError)
    return isinstance(error, kinds)


def _param(error: stripe.StripeError) -> str:
    return str(getattr(error, "param", "") or "")
