"""A provider that hangs keeps some workers, never all: how many work for one provider is limited for all processes."""

import pytest

from core import work
from core.management.commands.worker import Command
from servers.models import PowerTask, Provider, ProvisioningTask, Server, UsageTask
from tests.servers.builders import (
    AT,
    make_blueprint,
    make_location,
    make_node,
    make_provider,
    make_server,
)
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)


def make_waiting(provider: Provider, number: int) -> list[Server]:
    """Servers that wait to be converged."""
    location = make_location(provider)
    make_node(location)
    return [make_server(provider, location=location, blueprint=make_blueprint(provider)) for _ in range(number)]


def test_workers_that_claim_at_once_leave_the_others_to_other_providers() -> None:
    hanging, healthy = make_provider(), make_provider()
    make_waiting(hanging, 6)
    claimed: list[ProvisioningTask] = []

    errors = run_at_once(lambda: claimed.extend(ProvisioningTask.claim(limit=1, at=AT)), times=6)

    assert errors == []
    assert len(claimed) == ProvisioningTask.LANE_LIMIT
    [server] = make_waiting(healthy, 1)
    assert [task.server_id for task in ProvisioningTask.claim(limit=5, at=AT)] == [server.pk]
    assert ProvisioningTask.claim(limit=5, at=AT) == []


def test_a_lane_is_free_again_when_its_work_ends_or_its_worker_is_lost() -> None:
    make_waiting(make_provider(), 5)
    claimed = [ProvisioningTask.claim(limit=1, at=AT)[0] for _ in range(ProvisioningTask.LANE_LIMIT)]
    assert ProvisioningTask.claim(limit=1, at=AT) == []

    claimed[0].requeue(run_at=AT + ProvisioningTask.LEASE)
    assert len(ProvisioningTask.claim(limit=1, at=AT)) == 1

    assert len(ProvisioningTask.claim(limit=1, at=AT + 2 * ProvisioningTask.LEASE)) == 1


def test_one_provider_cannot_keep_every_thread_of_a_worker() -> None:
    of_one_provider = sum(model.LANE_LIMIT for model in work.registered() if model.LANE == "provider_id")
    parser = Command().create_parser("manage.py", "worker")

    assert {model for model in work.registered() if model.LANE} == {ProvisioningTask, PowerTask, UsageTask}
    assert parser.get_default("threads") > of_one_provider
