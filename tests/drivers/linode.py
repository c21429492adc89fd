"""Linode with its stand-in, as the shared suite and the tests of the driver use it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests

from core.ids import uuid7
from sandbox.client import Sandbox
from sandbox.linode.api import TOKEN
from servers.drivers.base import Limits, MachineBuild, RemoteServer, ServerSpec
from servers.drivers.linode import LinodeDriver
from servers.models import Provider

LIMITS = Limits(memory_mib=1024, disk_mib=25600, cpu_percent=100)
SECONDS = ("provision", "boot", "shutdown", "rebuild", "resize", "boot_after_resize", "label")
AT_ONCE = {f"{name}_seconds": 0 for name in SECONDS}
PASSWORD = "Nb1correct-horse"


def linode_provider(sandbox: Sandbox) -> Provider:
    """The stand-in as a provider that is not stored."""
    url = f"{sandbox.base_url}/linode/v4"
    return Provider(kind="linode", name="Linode", base_url=url, credentials={"token": TOKEN})


class Linode:
    """An account at Linode where everything happens at once."""

    can_fail = keeps_names = True

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.driver = LinodeDriver(linode_provider(sandbox))
        self.settings(**AT_ONCE)

    def spec(self, **changes: Any) -> ServerSpec:
        """A machine of the smallest plan."""
        build = MachineBuild("g6-nanode-1", "linode/debian12", root_password=PASSWORD)
        return replace(ServerSpec(uuid7(), 1, "Castle", "vps", LIMITS, location_ref="us-east", build=build), **changes)

    def larger(self, spec: ServerSpec) -> ServerSpec:
        """The next plan."""
        return replace(spec, build=replace(machine(spec), plan_ref="g6-standard-1"))

    def lose_answer(self) -> None:
        self.sandbox.arm("linode", "POST /v4/linode/instances", "lose_answer")

    def lose_request(self) -> None:
        self.sandbox.arm("linode", "POST /v4/linode/instances", "drop")

    def erase_key(self, remote: RemoteServer) -> None:
        """An admin takes the tag with the key away."""
        tags = [tag for tag in self.linodes()[remote.ref]["tags"] if not tag.startswith("svc-0")]
        self.call("PUT", f"/linode/instances/{remote.ref}", {"tags": tags})

    def settings(self, **settings: Any) -> None:
        """Change the stand-in's settings."""
        answer = requests.post(f"{self.sandbox.base_url}/_control/linode/settings", json=settings, timeout=10)
        assert answer.ok, answer.text

    def linodes(self) -> dict[str, dict[str, Any]]:
        """Every machine by its number."""
        state = requests.get(f"{self.sandbox.base_url}/_control/linode/state", timeout=10).json()
        return {str(each["id"]): each for each in state["linodes"]}

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """A call of the operator's own, on Linode's pages."""
        headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        url = f"{self.sandbox.base_url}/linode/v4{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=10, **options)


def machine(spec: ServerSpec) -> MachineBuild:
    """The spec's build."""
    assert isinstance(spec.build, MachineBuild)
    return spec.build
