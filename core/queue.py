"""Asking a worker to run a task: through Celery where REDIS_URL is set, through PostgreSQL's NOTIFY where it is not.

A message is only a hint. Every fact is a row, and the sweep finds the rows that a lost message was about.
"""

import json

from celery import current_app
from django.db import connection
from django.utils.crypto import salted_hmac

# PostgreSQL lets every session listen and notify, whatever its role. So the name is one that only our processes know.
CHANNEL = f"tasks_{salted_hmac('core.queue', 'channel', algorithm='sha256').hexdigest()[:32]}"

# Celery's queue of what calls providers, which may hang. A worker that leaves it out is always free for the rest.
LANES = "lanes"


def queue_of(task: str, *args: str) -> str:
    """The queue that Celery's routes name for a call."""
    return str(current_app.amqp.router.route({}, task, args)["queue"].name)


def send(task: str, *args: str, countdown: float | None = None) -> None:
    """Send one message. Raises kombu's OperationalError when Redis does not answer.

    NOTIFY knows no countdown, and needs none: the worker it wakes looks when the next row is due.
    """
    if current_app.conf.broker_url:
        current_app.send_task(task, args=args, countdown=countdown)
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps([task, *args])])
