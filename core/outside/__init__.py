"""Talking HTTP to other systems: time limits always, three kinds of error, and no secret in any log."""

from core.outside.answer import Answer, Expect
from core.outside.errors import OutsideError, Rejected, Unavailable, Unknown
from core.outside.gate import Breaker, Gate
from core.outside.guard import refuse_transaction
from core.outside.plain import requests_session
from core.outside.reach import Reach
from core.outside.session import Session

__all__ = [
    "Answer",
    "Breaker",
    "Expect",
    "Gate",
    "OutsideError",
    "Reach",
    "Rejected",
    "Session",
    "Unavailable",
    "Unknown",
    "refuse_transaction",
    "requests_session",
]
