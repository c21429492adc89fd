"""The stand-in as one application, and `/_control/docker/…`: what a host's operator and time do."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.control import ControlError, json_body
from sandbox.docker.api import Api
from sandbox.docker.host import SETTINGS
from sandbox.docker.hosts import Hosts
from sandbox.frame import Frame, ServiceApp


def build(frame: Frame) -> ServiceApp:
    """The stand-in without a host; saved state is loaded afterwards."""
    hosts = Hosts(frame.clock)
    api = Api(hosts)

    async def state(_request: Request) -> Response:
        """Every host with its containers, volumes and images."""
        return JSONResponse(hosts.snapshot())

    async def settings(request: Request) -> Response:
        """Change the settings of a host: those of `sandbox.docker.host`."""
        wanted = await json_body(request)
        if strange := set(wanted) - set(SETTINGS):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        host = hosts.host(request.path_params["host"])
        host.settings |= wanted
        frame.state.save(hosts)
        return JSONResponse(host.settings)

    async def restart(request: Request) -> Response:
        """The engine of a host stops and starts."""
        hosts.host(request.path_params["host"]).restart_engine(frame.clock.now())
        frame.state.save(hosts)
        return JSONResponse({})

    return ServiceApp(
        app=Starlette(routes=api.routes()),
        content=hosts,
        refuse=api.refuse,
        control_routes=[
            Route("/state", state, methods=["GET"]),
            Route("/{host}/settings", settings, methods=["POST"]),
            Route("/{host}/restart", restart, methods=["POST"]),
        ],
        title="Docker",
        home="/local/version",
    )
