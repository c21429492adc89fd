"""The panel's error answers: exception codes and the JSON envelope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GENERIC = "An unexpected error was encountered while processing this request, please try again."


class PanelError(Exception):
    """An error answer; the code is the panel's exception class."""

    def __init__(self, status: int, code: str, detail: str = GENERIC, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def elements(self) -> list[dict[str, Any]]:
        """The ``errors`` array."""
        return [{"code": self.code, "status": str(self.status), "detail": self.detail}]


@dataclass(frozen=True, slots=True)
class FailedRule:
    """A validation rule that a field does not pass."""

    field: str
    rule: str


class ValidationError(PanelError):
    """422 with one element per failed rule."""

    def __init__(self, failed: Sequence[FailedRule]) -> None:
        super().__init__(422, "ValidationException")
        self.failed = list(failed)

    def elements(self) -> list[dict[str, Any]]:
        """The ``errors`` array; ``meta`` names the field and the rule."""
        return [
            {
                "code": self.code,
                "status": "422",
                "detail": f"The {each.field.replace('_', ' ')} field is invalid.",
                "meta": {"source_field": each.field, "rule": each.rule},
            }
            for each in self.failed
        ]


class DaemonError(PanelError):
    """The call to the node failed; the status is the node's own, or 504 when it gave none."""

    def __init__(self, status: int = 504) -> None:
        super().__init__(status, "DaemonConnectionException", f"The call to the node failed (status {status}).")


class WorkerDied(Exception):
    """The panel's worker process ended in the middle of a request; the web server answers 502."""


def refusal(code: str, detail: str) -> PanelError:
    """400: a business rule is not met."""
    return PanelError(400, code, detail)


def not_found() -> PanelError:
    """404: no such record or route."""
    return PanelError(404, "NotFoundHttpException", "The requested resource could not be found on the server.")


def forbidden() -> PanelError:
    """403: the key has no right to this."""
    return PanelError(403, "AccessDeniedHttpException", "This action is unauthorized.")
