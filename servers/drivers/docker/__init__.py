"""Hosts with a Docker Engine. Only this package knows the vendor."""

from servers.drivers.docker.driver import FACTS, DockerDriver

__all__ = ["FACTS", "DockerDriver"]
