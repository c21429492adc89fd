"""What load balancers and monitoring are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

pytestmark = pytest.mark.django_db


@contextmanager
def full_disk() -> Iterator[None]:
    """The server may write no temporary file, as where its disk is full; reads go on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('role')")
        (role,) = cursor.fetchone()
        cursor.execute("RESET ROLE; SET temp_file_limit = '16kB'")
        cursor.execute(f"SET ROLE {role}")
    yield


def test_the_database_check_answers_with_the_words_of_the_first_shop(client: Client) -> None:
    answer = client.get("/health/db")

    body = answer.json()
    assert answer.status_code == 200
    assert {**body, "latency_ms": 0} == {"status": "healthy", "database": "connected", "latency_ms": 0}
    assert isinstance(body["latency_ms"], int)


def test_a_database_that_does_not_answer_is_unhealthy(client: Client) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OperationalError("gone")

    with connection.execute_wrapper(refuse):
        answer = client.get("/health/db")

    assert answer.status_code == 503
    assert answer.json() == {"status": "unhealthy", "database": "disconnected", "error": "OperationalError"}


def test_a_shop_that_can_write_is_ready(client: Client) -> None:
    assert client.get("/health/ready").status_code == 200


def test_a_shop_whose_disk_is_full_is_not_ready(client: Client) -> None:
    with full_disk():
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
