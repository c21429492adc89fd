"""Work whose worker was killed is taken over at once; work whose worker lives is left alone."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from core import work
from core.models import WorkState
from sandbox.client import Sandbox
from servers.models import Provider, ProvisioningTask, ServerStatus
from tests.servers.actions import run_until_quiet
from tests.servers.builders import AT, make_server


def test_another_worker_takes_over_within_20_seconds_of_a_kill(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    [task] = ProvisioningTask.claim(limit=1, at=AT)  # its worker is killed here
    assert ProvisioningTask.claim(limit=1, at=AT + timedelta(seconds=10)) == []

    run_until_quiet(AT + timedelta(seconds=20))

    assert server.reload().status == ServerStatus.RUNNING
    assert not task.finish(at=AT)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_lives_keeps_its_task_longer_than_the_lease(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_server(provider)
    lease = timedelta(milliseconds=600)
    monkeypatch.setattr(ProvisioningTask, "LEASE", lease)
    is_renewed, renew = threading.Event(), ProvisioningTask.renew
    renewals: list[bool] = []

    def count(self: ProvisioningTask, interval: timedelta) -> bool:
        renewals.append(renew(self, interval))
        if len(renewals) == 4:  # more than a lease has passed
            is_renewed.set()
        return renewals[-1]

    monkeypatch.setattr(ProvisioningTask, "renew", count)

    def work_long(_item: Any, *, at: Any) -> None:
        assert is_renewed.wait(30)

    monkeypatch.setattr(work, "_handlers", {ProvisioningTask: work_long})
    [task] = ProvisioningTask.claim(limit=1, at=AT)

    work.run_item(task, at=AT)

    assert all(renewals[:4])
    assert ProvisioningTask.objects.get().state == WorkState.DONE
