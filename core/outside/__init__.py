"""HTTP calls to other systems: always with time limits, three kinds of error, and no secret in any log."""

from core.outside.errors import OutsideError, Rejected, Unavailable, Unknown
from core.outside.library import library_call
from core.outside.limits import CircuitBreaker, HostLimits
from core.outside.pages import calls_outside
from core.outside.response import Expect, OutsideResponse
from core.outside.session import OutsideSession, refuse_transaction
from core.outside.transport import certificate_adapter, requests_session

__all__ = [
    "CircuitBreaker",
    "Expect",
    "HostLimits",
    "OutsideError",
    "OutsideResponse",
    "OutsideSession",
    "Rejected",
    "Unavailable",
    "Unknown",
    "calls_outside",
    "certificate_adapter",
    "library_call",
    "refuse_transaction",
    "requests_session",
]
