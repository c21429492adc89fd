"""Misbehaviour on demand: each service has a list of armed faults, matched against its requests."""

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("delay", "lose_answer", "status", "late_status", "drop", "hang", "html", "huge")


class UnknownFault(ValueError):
    """The asked kind does not exist, or an option makes no sense; the text names it."""


@dataclass
class Fault:
    """One armed fault: `match` is a method (or `*`) and a path prefix or glob below the service's mount.

    `after` requests pass first, then `times` are hit (0: all of them); with `is_each`, so many of each method and path.
    `seconds` is the delay or the silence.
    """

    service: str
    match: str
    kind: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    times: int = 1
    after: int = 0
    is_each: bool = False
    hits: int = 0
    hit: dict[str, int] = field(default_factory=dict)

    def is_spent(self, request: str) -> bool:
        """Whether it lets this request pass from now on."""
        return 0 < self.times <= (self.hit.get(request, 0) if self.is_each else self.hits)


def request_fits(match: str, method: str, path: str) -> bool:
    """Whether `POST /api/servers` style patterns cover a request; a path matches as a prefix or as a `*` glob."""
    verb, _, wanted = match.strip().partition(" ")
    if not wanted:
        verb, wanted = ("*", verb) if verb.startswith("/") or verb == "*" else (verb, "*")
    if verb not in {"*", method}:
        return False
    return path.startswith(wanted) or fnmatchcase(path, wanted)


@dataclass
class FaultList:
    """The faults armed on all services, in the order they were armed."""

    armed: list[Fault] = field(default_factory=list)

    def arm(self, options: dict[str, Any]) -> Fault:
        """Arm one fault from its JSON form.

        Raises UnknownFault.
        """
        if options.get("kind") not in KINDS:
            raise UnknownFault(f"kind must be one of {', '.join(KINDS)}")
        try:
            fault = Fault(**options)
        except TypeError as error:
            raise UnknownFault(str(error).replace("Fault.__init__()", "a fault")) from error
        self.armed.append(fault)
        return fault

    def take(self, service: str, method: str, path: str) -> Fault | None:
        """The first fault that hits this request, counted as used; None when the request passes."""
        for fault in self.armed:
            if fault.service != service or not request_fits(fault.match, method, path):
                continue
            request = f"{method} {path}"
            if fault.is_spent(request):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.hits += 1
            fault.hit[request] = fault.hit.get(request, 0) + 1
            return fault
        return None

    def clear(self, service: str | None) -> None:
        """Disarm one service's faults, or all."""
        self.armed = [fault for fault in self.armed if service not in {None, fault.service}]

    def listed(self) -> list[dict[str, Any]]:
        """Every fault that is still armed or was used, with its `hits`."""
        return [asdict(fault) for fault in self.armed]
