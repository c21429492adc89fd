"""The Docker Engine stand-in: any number of hosts, as the engine's contract describes them."""

from sandbox.docker.service import build

__all__ = ["build"]
