"""The queue of files keeps one message for one wish, however many ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from core import file_queue

TASK = "core.tasks.run_work"


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    """The folder that messages wait in."""
    folder = tmp_path / "messages"
    folder.mkdir()
    return folder


@pytest.fixture
def app(tmp_path: Path, messages: Path) -> Iterator[Celery]:
    """A Celery of its own on that folder."""
    options = {"control_folder": str(tmp_path / "control")} | dict.fromkeys(
        ("data_folder_in", "data_folder_out"), str(messages)
    )
    made = Celery("merging", broker=f"{file_queue.SCHEME}://localhost", set_as_current=False)
    made.conf.update(broker_transport_options=options, task_ignore_result=True)
    yield made
    made.close()


def test_a_hundred_equal_nudges_wait_as_one(app: Celery, messages: Path) -> None:
    for _ in range(100):
        app.send_task(TASK, args=["billing.GatewayEvent"])

    assert len(list(messages.iterdir())) == 1


def test_other_wishes_wait_beside_it(app: Celery, messages: Path) -> None:
    app.send_task(TASK, args=["billing.GatewayEvent"])
    app.send_task(TASK, args=["servers.ProvisioningTask"])
    app.send_task("core.tasks.sweep")

    assert len(list(messages.iterdir())) == 3


def test_each_time_of_its_own_is_kept(app: Celery, messages: Path) -> None:
    for seconds in (1, 2):
        app.send_task(TASK, args=["servers.ProvisioningTask"], countdown=seconds)
    app.send_task(TASK, args=["servers.ProvisioningTask"])

    assert len(list(messages.iterdir())) == 3


def test_a_wish_after_one_was_taken_waits_anew(app: Celery, messages: Path) -> None:
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(app.conf.task_default_queue)
        app.send_task(TASK, args=["billing.GatewayEvent"])
        assert queue.get(timeout=5).headers["task"] == TASK

        app.send_task(TASK, args=["billing.GatewayEvent"])

        assert len(list(messages.iterdir())) == 1
