"""All hosts of the stand-in: each is there as soon as it is asked, and has the images of its start."""

from dataclasses import asdict

from sandbox.clock import Clock
from sandbox.docker.host import Host
from sandbox.state import JsonObject

IMAGE = "hosttest/bb:1"


class Hosts:
    """The engines by the names of their hosts."""

    name = "docker"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.hosts: dict[str, Host] = {}

    def host(self, name: str) -> Host:
        """The engine of a host; a new one has one image."""
        if name not in self.hosts:
            self.hosts[name] = Host()
            self.hosts[name].add_image(IMAGE)
        return self.hosts[name]

    def reset(self) -> None:
        """No hosts."""
        self.hosts.clear()

    def snapshot(self) -> JsonObject:
        """Everything."""
        return {name: asdict(host) for name, host in self.hosts.items()}

    def restore(self, saved: JsonObject) -> None:
        """Take over saved hosts."""
        self.hosts = {name: Host(**host) for name, host in saved.items()}
