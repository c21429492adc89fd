"""A unit of work as a row: claimed by lease, repeated after a crash, dead only with a reason."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _

from core.models.base import Timestamped, choices_check, iff
from core.models.lanes import Lane
from core.models.status import StatusChoices, StatusField, Tone

# Which rows may be claimed. What was tried may have killed its worker: together with others it cost them attempts.
DUE = "(state = 'queued' AND run_at <= {now}) OR (state = 'running' AND lease_until <= {now})"
UNTRIED = "state = 'queued' AND run_at <= {now} AND attempts = 0"


class WorkState(StatusChoices):
    QUEUED = "queued", Tone.INFO, _("Queued")
    RUNNING = "running", Tone.INFO, _("Running")
    DONE = "done", Tone.SUCCESS, _("Done")
    DEAD = "dead", Tone.DANGER, _("Failed")


class WorkItem(Timestamped):
    """Work that must happen, safe to run more than once. `core.work` claims and runs it."""

    LEASE: ClassVar[timedelta] = timedelta(seconds=15)  # renewed while its worker lives (`core.leases`)
    MAX_ATTEMPTS: ClassVar[int] = 12
    LANE: ClassVar[Lane | None] = None  # limits how many workers work for one outside system at once

    state = StatusField(max_length=8, choices=WorkState, default=WorkState.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    outages = models.PositiveIntegerField(
        db_default=0,
        help_text=_("Attempts that failed because another system did not answer. They never end the work."),
    )
    run_at = models.DateTimeField(_("next attempt at"))
    lease_until = models.DateTimeField(_("worker's lease until"), null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)
    claimed_at: datetime  # the instant that counted as now when the row was claimed

    class Meta:
        abstract = True
        constraints = [
            choices_check("%(app_label)s_%(class)s_state_known", "state", WorkState),
            iff(
                "%(app_label)s_%(class)s_lease_iff_running",
                models.Q(state=WorkState.RUNNING),
                models.Q(lease_until__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["run_at"],
                name="%(app_label)s_%(class)s_due",
                condition=models.Q(state__in=[WorkState.QUEUED, WorkState.RUNNING]),
            ),
            models.Index(
                fields=["finished_at"],
                name="%(app_label)s_%(class)s_done",
                condition=models.Q(state=WorkState.DONE),
            ),
        ]

    @classmethod
    def claim(cls, *, limit: int, at: datetime | None = None, which: str = DUE) -> list[Self]:
        """Lease up to `limit` rows that are due, or whose lease ran out; each row goes to one caller.

        Now is what the database's clock says, or `at` where time is passed in. `which` is DUE or UNTRIED. A table with
        lanes gives one row at a time, claimed by one worker after another: two at once would count the same workers.
        """
        if cls.LANE is None:
            return cls._claim(limit, at, which)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"lane:{cls.LANE.name}"])
            free = f"({which}) AND {cls.LANE.has_free_workers()}"
            return cls._claim(min(limit, 1), at, free, f"busy AS MATERIALIZED ({cls.LANE.busy()}),")

    @classmethod
    def _claim(cls, limit: int, at: datetime | None, which: str, busy: str = "") -> list[Self]:
        table = connection.ops.quote_name(cls._meta.db_table)
        key = connection.ops.quote_name(str(cls._meta.pk.column))
        now = "statement_timestamp()" if at is None else "%(at)s::timestamptz"
        # Materialized: a sub-select may be run again for every row it is joined to, each time locking other rows.
        sql = f"""
            WITH {busy.format(now=now)} due AS MATERIALIZED (
                SELECT {key} AS due_key FROM {table} AS item
                WHERE {which.format(now=now)}
                ORDER BY run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            UPDATE {table} SET state = 'running', lease_until = {now} + %(lease)s, attempts = attempts + 1
            FROM due WHERE {key} = due_key
            RETURNING {table}.*, {now} AS claimed_at"""
        parameters: dict[str, Any] = {"lease": cls.LEASE, "at": at, "limit": limit}
        return sorted(cls._default_manager.raw(sql, parameters), key=lambda item: item.run_at)

    @classmethod
    def delete_done(cls, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows that were done before then; how many. One statement, which waits for no lock."""
        table = connection.ops.quote_name(cls._meta.db_table)
        key = connection.ops.quote_name(str(cls._meta.pk.column))
        sql = f"""
            DELETE FROM {table} WHERE {key} = ANY (ARRAY(
                SELECT {key} FROM {table} WHERE state = 'done' AND finished_at < %s
                ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED))"""
        with connection.cursor() as cursor:
            cursor.execute(sql, [before, limit])
            return int(cursor.rowcount)

    @property
    def counted_attempts(self) -> int:
        """The attempts that count towards MAX_ATTEMPTS: all but those that another system's outage ended."""
        return self.attempts - self.outages

    def _leased(self) -> models.QuerySet[Self]:
        """The row, only while this worker holds its lease: no write after another worker has taken it over."""
        return type(self)._default_manager.filter(
            pk=self.pk, state=WorkState.RUNNING, lease_until=self.lease_until, attempts=self.attempts
        )

    def renew(self, interval: timedelta) -> bool:
        """Let the lease last longer by this; False when another worker has taken the row over."""
        lease_until = self.lease_until + interval if self.lease_until else None
        is_kept = bool(self._leased().update(lease_until=lease_until))
        if is_kept:
            self.lease_until = lease_until
        return is_kept

    def finish(self, *, at: datetime) -> bool:
        """Record that the work is done; False when another worker has taken it over."""
        return bool(self._leased().update(state=WorkState.DONE, lease_until=None, finished_at=at, last_error=""))

    @classmethod
    def finish_all(cls, items: Sequence[Self], *, at: datetime) -> None:
        """Record that several are done, in a statement for each lease; not those that another worker has taken over."""
        leases = {(item.lease_until, item.attempts) for item in items}
        for lease_until, attempts in leases:
            cls._default_manager.filter(
                pk__in=[item.pk for item in items], state=WorkState.RUNNING, lease_until=lease_until, attempts=attempts
            ).update(state=WorkState.DONE, lease_until=None, finished_at=at, last_error="")

    def requeue(self, *, run_at: datetime, error: str = "", attempts: int = 0, outages: int = 0) -> bool:
        """Release the lease; the row is due again at `run_at`, its attempts counted from `attempts`."""
        fields = {"run_at": run_at, "last_error": error, "attempts": attempts, "outages": outages}
        return bool(self._leased().update(state=WorkState.QUEUED, lease_until=None, **fields))

    def mark_dead(self, *, at: datetime, reason: str) -> bool:
        """Stop trying: staff must look at the reason and choose Retry."""
        return bool(self._leased().update(state=WorkState.DEAD, lease_until=None, finished_at=at, last_error=reason))


def first_due(tables: Sequence[type[WorkItem]], *, at: datetime | None) -> int | None:
    """The place in `tables` of the first that has rows to claim, None where none has; one statement, without locks.

    So a sweep that finds nothing does not try to claim in each table. Of a single table the claim itself says it.
    """
    if len(tables) == 1:
        return 0
    now = "statement_timestamp()" if at is None else "%(at)s::timestamptz"
    asked = (
        f"SELECT {place} WHERE EXISTS (SELECT FROM {connection.ops.quote_name(table._meta.db_table)} WHERE {DUE})"
        for place, table in enumerate(tables)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(asked)} ORDER BY 1 LIMIT 1".format(now=now), {"at": at})
        row = cursor.fetchone()
    return row[0] if row else None
