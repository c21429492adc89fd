"""The panel's refusals: exception codes, the JSON envelope, and what a caller without ``Accept`` gets instead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GENERIC = "An unexpected error was encountered while processing this request, please try again."


@dataclass(frozen=True, slots=True)
class Complaint:
    """One failed validation rule."""

    field: str
    rule: str


class PanelError(Exception):
    """A refusal with the panel's exception class as its code."""

    def __init__(self, status: int, code: str, detail: str = GENERIC, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def elements(self) -> list[dict[str, Any]]:
        """The ``errors`` array."""
        return [{"code": self.code, "status": str(self.status), "detail": self.detail}]


class Invalid(PanelError):
    """422 with one element per failed rule."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__(422, "ValidationException", "The given fields were invalid.")
        self.complaints = list(complaints)

    def elements(self) -> list[dict[str, Any]]:
        """The ``errors`` array; ``meta`` names the field and the rule."""
        return [
            {
                "code": self.code,
                "status": "422",
                "detail": f"The {complaint.field.replace('_', ' ')} field is not acceptable.",
                "meta": {"source_field": complaint.field, "rule": complaint.rule},
            }
            for complaint in self.complaints
        ]


class DaemonFailure(PanelError):
    """The node failed or was not reached; the status is the node's own, or 504."""

    def __init__(self, status: int = 504) -> None:
        super().__init__(status, "DaemonConnectionException", f"The node did not do as asked (status {status}).")


class WorkerDied(Exception):
    """The panel's worker process vanished in the middle of a request; the web server answers 502 for it."""


def refusal(code: str, detail: str) -> PanelError:
    """A 400 business refusal."""
    return PanelError(400, code, detail)


def missing(detail: str = "The requested resource could not be found on the server.") -> PanelError:
    """404: no such record or route."""
    return PanelError(404, "NotFoundHttpException", detail)


def forbidden() -> PanelError:
    """403: the key may not do this."""
    return PanelError(403, "AccessDeniedHttpException", "This action is unauthorized.")


def lost_race(code: str) -> PanelError:
    """500: a constraint was hit between the check and the insert."""
    return PanelError(500, code)


def wrong_state(detail: str) -> PanelError:
    """409: the server's state forbids client calls."""
    return PanelError(409, "ServerStateConflictException", detail)
