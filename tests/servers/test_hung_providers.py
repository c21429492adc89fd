"""Providers that accept connections and never answer: what else a real worker has to do is done meanwhile."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction

from billing.models import GatewayEvent
from core import clock, queue, work
from core.models import WorkState
from servers.models import PowerTask, Provider, ProvisioningTask, SyncKind, UsageTask
from servers.tasks import sync_provider
from tests.core.test_worker import log, process, until  # noqa: F401 - fixtures
from tests.servers.builders import make_provider
from tests.servers.test_lanes import make_far_node, make_live

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hanging() -> Iterator[list[Provider]]:
    """Two providers with nodes of which everything is due."""
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2)]
    yield [make_provider(f"http://127.0.0.1:{listener.getsockname()[1]}") for listener in listeners]
    for listener in listeners:
        listener.close()


def test_a_payment_event_is_processed_at_once_while_all_lanes_of_two_providers_hang(
    process: object,  # noqa: F811
    hanging: list[Provider],
) -> None:
    for provider in hanging:
        for model in (UsageTask, PowerTask, UsageTask, PowerTask):
            make_live(model, make_far_node(provider), at=clock.now())
        with transaction.atomic():
            queue.send(sync_provider.name, str(provider.pk), SyncKind.FULL)
    lanes = (ProvisioningTask, PowerTask, UsageTask)
    running = lambda: sum(model.objects.filter(state=WorkState.RUNNING).count() for model in lanes)  # noqa: E731
    assert until(lambda: running() >= 5)
    event = GatewayEvent.objects.create(
        event_id="evt_1", gateway="stripe", type="ping", payload={}, received_at=clock.now(), run_at=clock.now()
    )
    began = clock.now()
    work.wake_worker(GatewayEvent)

    assert until(lambda: event.reload().state == WorkState.DONE)

    finished_at = event.reload().finished_at
    assert finished_at is not None
    assert finished_at - began < timedelta(seconds=3)
    assert running() >= 5
