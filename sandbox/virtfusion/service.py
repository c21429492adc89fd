"""The VirtFusion stand-in as one application, and what tests and the demo do to it from outside."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.frame import Frame, ServiceApp
from sandbox.virtfusion.api import Api
from sandbox.virtfusion.panel import TOKEN, Panel, Refused

HYPERVISOR_FIELDS = {"enabled", "prohibit", "commissioned", "memory", "storage", "cpuCores", "otherStorage"}


class Queue:
    """The panel's queue, which goes on between requests."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def tick(self) -> None:
        """Do what is due."""
        self._panel.run_due()

    async def close(self) -> None:
        """Nothing runs between ticks."""


class VirtFusionControl:
    """The handlers of `/_control/virtfusion`."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def routes(self) -> list[BaseRoute]:
        """Every control route."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/hypervisors/{id}", self.change_hypervisor, methods=["POST"]),
            Route("/servers/{id}", self.change_server, methods=["POST"]),
        ]

    async def state(self, _request: Request) -> Response:
        """Users, servers with the number of their builds, and what a shop is set up with."""
        self._panel.run_due()
        found = {"users": self._panel.users, "servers": self._panel.servers, "ssh_keys": self._panel.ssh_keys}
        return JSONResponse(found | {"url": self._panel.base_url, "token": TOKEN})

    async def change_settings(self, request: Request) -> Response:
        """Change some of `SETTINGS`."""
        wanted = await json_body(request)
        if strange := set(wanted) - set(self._panel.settings):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        self._panel.settings |= wanted
        return JSONResponse(self._panel.settings)

    async def change_hypervisor(self, request: Request) -> Response:
        """Change a hypervisor's limits and whether it takes servers."""
        wanted = await json_body(request)
        if strange := set(wanted) - HYPERVISOR_FIELDS:
            raise ControlError(f"a hypervisor has no {', '.join(sorted(strange))} to change")
        return self._changed(self._panel.hypervisors, request, wanted)

    async def change_server(self, request: Request) -> Response:
        """Change any field of a server, as an admin does on the panel's own pages."""
        return self._changed(self._panel.servers, request, await json_body(request))

    def _changed(self, rows: list[dict[str, object]], request: Request, changes: dict[str, object]) -> Response:
        try:
            row = self._panel.find(rows, request.path_params["id"], "not found")
        except Refused as error:
            raise ControlError("there is no such row") from error
        row |= changes
        return JSONResponse(row)


async def no_such_route(_request: Request, error: Exception) -> Response:
    """Laravel's words for a path that it does not have."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"message": "The route could not be found."}, status_code=status)


def build(frame: Frame) -> ServiceApp:
    """The stand-in with its seed; saved state is loaded afterwards."""
    panel = Panel(frame)
    api = Api(panel, lambda: frame.state.save(panel))
    return ServiceApp(
        app=Starlette(routes=api.routes(), exception_handlers={404: no_such_route, 405: no_such_route}),
        content=panel,
        refuse=api.refuse,
        control_routes=VirtFusionControl(panel).routes(),
        background=Queue(panel),
        title="VirtFusion",
    )
