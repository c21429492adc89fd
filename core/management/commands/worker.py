"""Background work without Redis: woken by PostgreSQL's NOTIFY, by the next row that is due, and by the schedule."""

import json
import logging
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
from celery import current_app
from celery.schedules import BaseSchedule, crontab, maybe_schedule
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.db.models import Q

from core import clock, queue, tasks, work
from core.models import WorkState

log = logging.getLogger(__name__)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SWEEP = timedelta(seconds=1)  # a row that nobody sent a message about waits no longer than this


class Worker:
    """Runs tasks in threads: those that messages name, those of Celery's beat schedule, and work that is due."""

    def __init__(self, threads: int) -> None:
        current_app.loader.import_default_modules()  # registers every app's tasks
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._lock = threading.Lock()
        self._waiting: set[tuple[str, ...]] = set()  # for a thread
        self._deferred: set[tuple[str, ...]] = set()  # until a call ends: there is no thread that these may take
        self._is_stopping = False
        self._running: Counter[tuple[str, ...]] = Counter()
        self._limit = max(1, threads - 1)  # beside one slow table a thread stays free for the others and the schedule
        self._lane_limit = self._limit  # beside all calls of providers a thread stays free for payments and the rest
        # The worker sweeps by itself. What runs at intervals runs at the start too, so that it survives restarts.
        self._schedule: list[tuple[str, Any]] = [
            (entry["task"], maybe_schedule(entry["schedule"], app=current_app))
            for entry in current_app.conf.beat_schedule.values()
            if entry["task"] not in {tasks.sweep.name, tasks.sweep_lanes.name}
        ]
        self._next_run = [
            time.monotonic() + seconds_to(schedule) if isinstance(schedule, crontab) else 0.0
            for _task, schedule in self._schedule
        ]

    def run(self) -> None:
        """Listen and start what is due, until a signal raises KeyboardInterrupt; a lost database is waited for."""
        while True:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"LISTEN {queue.CHANNEL}")
                log.info("the worker is ready.")
                while True:
                    wait = self._start_due()
                    for message in connection.connection.notifies(timeout=wait, stop_after=1):
                        self.start_from_message(message.payload)
            except (DatabaseError, psycopg.Error) as error:
                log.warning("the database does not answer: %s", error)
                connection.close()
                time.sleep(SWEEP.total_seconds())

    def _start_due(self) -> float:
        """Start what is due now; the seconds until something else is, `SWEEP` at most."""
        for number, (task, schedule) in enumerate(self._schedule):
            if self._next_run[number] <= time.monotonic():
                self._next_run[number] = time.monotonic() + seconds_to(schedule)
                self.start(task)
        now, wait = clock.now(), SWEEP
        # A row may be claimed when it is queued, or when its worker vanished.
        is_claimable = Q(state=WorkState.QUEUED) | Q(state=WorkState.RUNNING, lease_until__lte=now)
        for model in work.registered():
            rows = model._default_manager.filter(is_claimable, run_at__lte=now + SWEEP).order_by("run_at")
            run_at = rows.values_list("run_at", flat=True).first()
            if run_at is not None and run_at <= now:
                self.start(tasks.run_work.name, model._meta.label)
                run_at = rows.filter(run_at__gt=now).values_list("run_at", flat=True).first()
            if run_at is not None:
                wait = min(wait, run_at - now)
        return wait.total_seconds()

    def start_from_message(self, payload: str) -> None:
        """Start what a message asks for. Whoever knows the channel's name may notify it, so it may be anything."""
        try:
            task, *arguments = map(str, json.loads(payload))
        except (ValueError, TypeError, RecursionError):
            log.warning("a message was not understood: %.100s", payload)
        else:
            self.start(task, *arguments)

    def start(self, *call: str) -> None:
        """Have a thread run a task with its arguments, once for all that ask while it waits.

        Tasks carry no facts: each does what is due when it runs, so one does for all that asked before it began. Of
        one table several may run, of a task of the schedule one.
        """
        with self._lock:
            if self._is_stopping or call in self._waiting or call in self._deferred:
                return
            if self._running[call] >= (self._limit if len(call) > 1 else 1) or not self._has_thread(call):
                self._deferred.add(call)
                return
            self._waiting.add(call)
            self._threads.submit(self._perform, *call)

    def _has_thread(self, call: tuple[str, ...]) -> bool:
        """Whether the call may take a thread. Calls of providers, which may all hang, never take the last one."""
        if queue.queue_of(*call) != queue.LANES:
            return True
        taken = [*self._waiting, *self._running.elements()]
        return sum(queue.queue_of(*each) == queue.LANES for each in taken) < self._lane_limit

    def _perform(self, *call: str) -> None:
        with self._lock:
            self._waiting.discard(call)
            self._running[call] += 1
        name, *arguments = call
        try:
            current_app.tasks[name](*arguments)
        except Exception:  # the worker must outlive any fault of a task
            log.exception("%s failed", name)
        finally:
            connections.close_all()
            with self._lock:
                self._running[call] -= 1
                deferred, self._deferred = self._deferred, set()
            for each in deferred:  # one that still finds no thread is deferred again
                self.start(*each)

    def stop(self) -> None:
        """Drop what has not begun, and wait for what has."""
        with self._lock:
            self._is_stopping = True
        self._threads.shutdown(cancel_futures=True)


def seconds_to(schedule: BaseSchedule) -> float:
    """The seconds from now to the schedule's next time: an interval later, or at its time of the day."""
    remaining: timedelta = schedule.remaining_estimate(schedule.now())
    return remaining.total_seconds()


class Command(BaseCommand):
    """Any number may run; each also runs the schedule, which does no harm."""

    help = "Perform background work and the schedule where there is no Redis, until SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        """--threads is how many tasks may run at the same time: more than a hanging provider can keep busy."""
        parser.add_argument("--threads", type=int, default=8)

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until a signal comes; what runs then is finished, and a second signal ends the process at once."""
        if current_app.conf.broker_url:
            raise CommandError("REDIS_URL is set. Run Celery instead: celery -A nodebyte worker")
        connection.ensure_connection()
        for number in STOP_SIGNALS:
            signal.signal(number, _interrupt)
        worker = Worker(options["threads"])
        try:
            worker.run()
        except KeyboardInterrupt:
            log.info("the worker stops.")
        finally:
            worker.stop()


def _interrupt(_number: int, _frame: object) -> None:
    for number in STOP_SIGNALS:  # also the other one must not raise while what runs is finished
        signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt
