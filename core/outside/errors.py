"""The three ways in which a call to another system fails. Drivers raise them; services decide by them."""

from collections.abc import Mapping
from typing import Any


class OutsideError(Exception):
    """A call that did not succeed. The text names the call and the reason, never a query, a header or a secret."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        body: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = dict(body or {})
        self.retry_after = retry_after  # whole seconds the other system asked us to wait
        self.code = code  # the other system's own code for the error, if it gives one


class Unavailable(OutsideError):
    """Nothing happened (or it was only a question): try again later."""


class Unknown(OutsideError):
    """The answer to a write was lost: it may have happened. Look before repeating."""


class Rejected(OutsideError):
    """The other system understood and refused: staff must look."""
