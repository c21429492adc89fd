"""Run the sandbox: `python -m sandbox --port 0` prints one line with its addresses and serves until SIGTERM."""

import argparse
import asyncio
import socket
from pathlib import Path

import uvicorn

from sandbox.app import build_app
from sandbox.connections import CuttableProtocol
from sandbox.frame import Frame
from sandbox.mail import Mailbox
from sandbox.state import StateStore

GRACE_SECONDS = 1


class AnnouncedServer(uvicorn.Server):
    """Prints the ready line once connections are accepted."""

    ready_line = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting, then say so."""
        await super().startup(sockets)
        if self.started:
            print(self.ready_line, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sandbox", description="Stand-ins for the outside systems.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--fd", type=int, default=None, help="a socket that listens already, instead of a port")
    parser.add_argument("--smtp-port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--state", type=Path, default=None, help="directory that keeps everything across restarts")
    parser.add_argument("--public-url", default=None, help="address browsers reach the sandbox at")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Bind, mount, announce and serve until told to stop."""
    listening = (
        socket.create_server((options.host, options.port), backlog=256)
        if options.fd is None
        else socket.socket(fileno=options.fd)
    )
    address = f"http://{options.host}:{listening.getsockname()[1]}"
    frame = Frame(base_url=(options.public_url or address).rstrip("/"), state=StateStore(options.state))
    mailbox = Mailbox(frame)
    app = build_app(frame, mailbox)
    smtp = await mailbox.listen(asyncio.get_running_loop(), options.host, options.smtp_port)
    config = uvicorn.Config(
        app, http=CuttableProtocol, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = AnnouncedServer(config)
    server.ready_line = f"SANDBOX {address} smtp={smtp.sockets[0].getsockname()[1]}"
    async with smtp:
        await server.serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
