"""The whole sandbox as one ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from sandbox import pterodactyl
from sandbox.control import Control, ControlError, LoopbackOnly, on_control_error
from sandbox.frame import Frame, ServiceApp
from sandbox.gate import gated
from sandbox.mail import Mailbox
from sandbox.pages import page
from sandbox.state import Persistent
from sandbox.stripe import service as stripe

TICK_SECONDS = 0.5


def build_services(frame: Frame) -> list[ServiceApp]:
    """Every stand-in there is."""
    return [stripe.build(frame), pterodactyl.build(frame)]


def build_app(frame: Frame, mailbox: Mailbox) -> Starlette:
    """Mount everything and take over saved state."""
    services = build_services(frame)
    parts: list[Persistent] = [frame.clock, *(service.content for service in services), mailbox]
    for part in parts:
        frame.state.load(part)
    control = Starlette(
        routes=Control(frame, services, parts).routes(), exception_handlers={ControlError: on_control_error}
    )
    routes: list[BaseRoute] = [
        Route("/", _start_page(frame, services)),
        Mount("/_control", app=LoopbackOnly(control)),
        *mailbox.routes(),
        *(Mount(f"/{service.name}", app=gated(service, frame)) for service in services),
    ]
    return Starlette(routes=routes, lifespan=lambda _app: _ticking(services))


@asynccontextmanager
async def _ticking(services: list[ServiceApp]) -> AsyncIterator[None]:
    backgrounds = [service.background for service in services if service.background is not None]

    async def tick_for_ever() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for background in backgrounds:
                background.tick()

    task = asyncio.create_task(tick_for_ever())
    try:
        yield
    finally:
        task.cancel()
        for background in backgrounds:
            await background.close()


def _start_page(frame: Frame, services: list[ServiceApp]) -> Callable[[Request], Awaitable[Response]]:
    async def start(_request: Request) -> Response:
        tiles = "".join(
            _tile(f"/{service.name}{service.home}", service.title, "The stand-in for the real service.")
            for service in services
        )
        tiles += _tile("/mail", "Mailbox", "Every message the shop sends.")
        return page(
            "Sandbox",
            '<h1>Sandbox</h1><p class="quiet">Stand-ins for the outside world. Nothing here leaves this machine, '
            f'and no money moves.</p><div class="tiles">{tiles}</div>'
            f'<footer>Reachable at <span class="num">{escape(frame.base_url)}</span></footer>',
        )

    return start


def _tile(href: str, title: str, text: str) -> str:
    return (
        f'<a class="card" href="{escape(href)}"><h2>{escape(title)}</h2><p class="quiet small">{escape(text)}</p></a>'
    )
