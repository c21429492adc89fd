"""Actions of tests about servers: run due work at a given instant, control the stand-in panel, read what it has."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import requests

from core import work
from core.models import WorkItem
from core.outside import limits
from sandbox.client import Sandbox
from servers.models import Provider, ProvisioningStep, ProvisioningTask, Server, ServerStatus, Step
from tests.servers.builders import AT, make_server

AN_HOUR = timedelta(hours=1)


def control(sandbox: Sandbox, path: str, body: Mapping[str, Any]) -> Any:
    """A control call to the stand-in panel, such as `settings` or `nodes/1/restart`."""
    answer = requests.post(f"{sandbox.base_url}/_control/pterodactyl/{path}", json=dict(body), timeout=30)
    assert answer.ok, answer.text
    return answer.json()


def run_until_quiet(
    at: datetime, *, within: timedelta = AN_HOUR, models: tuple[type[WorkItem], ...] = (ProvisioningTask,)
) -> datetime:
    """Perform all work in the order in which it is due, without waiting; the instant of the last."""
    until = at + within
    while True:
        limits.reset_limits()  # breakers live by the real clock, which does not jump with us
        count = work.run_due(at=at, models=models)
        queued = (model._default_manager.filter(state="queued").values_list("run_at", flat=True) for model in models)
        following = min((run_at for run_ats in queued for run_at in run_ats), default=None)
        if following is None or following > until:
            return at
        # Where nothing was run, the lane is full of what a killed process had: its leases run out.
        at = max(at if count else at + timedelta(seconds=1), following)


def panel_servers(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The servers that the stand-in panel has."""
    return list(sandbox.panel_state()["servers"])


def steps_of(server: Server) -> list[Step]:
    """The steps in the server's provisioning log."""
    entries = ProvisioningStep.objects.filter(server=server).order_by("id")
    return [Step(step) for step in entries.values_list("step", flat=True)]


def make_running(provider: Provider, **fields: Any) -> Server:
    """A server that convergence has brought to running."""
    server = make_server(provider, **fields)
    run_until_quiet(AT)
    server = server.reload()
    assert server.status == ServerStatus.RUNNING, server.failure
    return server


def request_count(sandbox: Sandbox, match: str) -> int:
    """How many requests of this kind the panel saw."""
    return len(sandbox.requests("pterodactyl", match))
