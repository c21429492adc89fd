"""Relay consoles to browsers that cannot reach the nodes."""

from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandParser

from servers.self_service import relay


class Command(BaseCommand):
    """One process is enough; behind a proxy, which passes on what begins with /relay/."""

    help = "Relay consoles: browsers connect here, and this to the nodes. Until SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where it listens; --fd is a socket that listens already."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8002)
        parser.add_argument("--fd", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve. A connection that does not answer a ping within 20 seconds is closed."""
        uvicorn.Server(configuration(**{name: options[name] for name in ("host", "port", "fd")})).run()


def configuration(**where: Any) -> uvicorn.Config:
    """The relay's limits; `where` it listens."""
    return uvicorn.Config(
        relay.application,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=relay.MAX_SENT_BYTES,
        ws_per_message_deflate=False,
        limit_concurrency=relay.MAX_SOCKETS + 100,
        timeout_graceful_shutdown=5,
        **where,
    )
