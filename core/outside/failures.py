"""What a request that got no usable answer means: whether it can have been sent decides."""

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError

from core.outside.errors import OutsideError, Rejected, Unavailable, Unknown

NO_CONNECTION = (NewConnectionError, ConnectTimeoutError, ConnectionRefusedError, FileNotFoundError, PermissionError)


def lost(label: str, reason: str, *, is_read: bool) -> OutsideError:
    """The error for a request that may have been carried out and has no usable response."""
    return (Unavailable if is_read else Unknown)(f"{label}: {reason}")


def unanswered(label: str, error: requests.RequestException, *, is_read: bool) -> OutsideError:
    """One of the three errors for what the HTTP library raised. Its own text holds the whole URL and is left out."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, ProtocolError) and len(reason.args) > 1:
        reason = reason.args[1]  # of a unix socket: what the system said
    if isinstance(error, requests.exceptions.SSLError):
        is_unsent = "CERTIFICATE_VERIFY_FAILED" in str(reason) or "WRONG_VERSION_NUMBER" in str(reason)
    else:
        is_unsent = isinstance(reason, NO_CONNECTION) or isinstance(
            error, requests.ConnectTimeout | requests.exceptions.ProxyError
        )
    if is_unsent:
        return Unavailable(f"{label}: no connection")
    if isinstance(error, requests.Timeout):
        return lost(label, "no answer in time", is_read=is_read)
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return lost(label, "the connection dropped before the answer", is_read=is_read)
    if isinstance(error, requests.JSONDecodeError):
        return lost(label, "the answer is not JSON", is_read=is_read)
    return Rejected(f"{label}: not sent, {type(error).__name__}")
