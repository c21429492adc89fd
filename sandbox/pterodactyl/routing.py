"""The panel's routes: the path of a request is looked up before its key is checked."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from starlette.responses import Response

from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.errors import PanelError, not_found

Endpoint = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path, the endpoint, and the kind of row that a key needs a right on."""

    api: str
    method: str
    pattern: re.Pattern[str]
    endpoint: Endpoint
    resource: str


@dataclass(slots=True)
class Routes:
    """The routes of one module, in the order they are tried."""

    api: str
    resource: str = ""
    listed: list[Route] = field(default_factory=list)

    def add(self, method: str, path: str, resource: str = "") -> Callable[[Endpoint], Endpoint]:
        """Register an endpoint; ``{name}`` stands for one path part."""
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/api/{self.api}{path}") + r"\Z")

        def register(endpoint: Endpoint) -> Endpoint:
            self.listed.append(Route(self.api, method, pattern, endpoint, resource or self.resource))
            return endpoint

        return register


def find_route(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route for a request, with its path parts.

    Raises a 404 for an unknown path and a 405 for a wrong method.
    """
    allowed = set()
    for route in routes:
        match = route.pattern.match(path)
        if match is None:
            continue
        if method == route.method or (method == "HEAD" and route.method == "GET"):
            return route, match.groupdict()
        allowed.add(route.method)
    if allowed:
        headers = {"Allow": ", ".join(sorted(allowed))}
        raise PanelError(405, "MethodNotAllowedHttpException", "The method is not supported for this route.", headers)
    raise not_found()
