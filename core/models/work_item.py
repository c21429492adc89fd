"""A unit of work as a row: claimed by lease, repeated after a crash, dead only with a reason."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from core.models.base import Timestamped, choices_check


class WorkState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    DEAD = "dead", _("Dead")


class WorkItem(Timestamped):
    """Work that must happen, safe to perform more than once. `core.work` claims and performs it."""

    LEASE: ClassVar[timedelta] = timedelta(minutes=5)
    MAX_ATTEMPTS: ClassVar[int] = 12

    state = models.CharField(max_length=8, choices=WorkState, default=WorkState.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    run_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            choices_check("%(app_label)s_%(class)s_state_known", "state", WorkState),
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_lease_iff_running",
                condition=models.Q(state=WorkState.RUNNING, lease_until__isnull=False)
                | (~models.Q(state=WorkState.RUNNING) & models.Q(lease_until__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(
                fields=["run_at"],
                name="%(app_label)s_%(class)s_due",
                condition=models.Q(state__in=[WorkState.QUEUED, WorkState.RUNNING]),
            )
        ]

    @classmethod
    def claim(cls, *, limit: int, at: datetime) -> list[Self]:
        """Lease up to `limit` rows that are due, or whose worker vanished; each to one caller, in one statement."""
        table = connection.ops.quote_name(cls._meta.db_table)
        key = connection.ops.quote_name(str(cls._meta.pk.column))
        # Materialized: a sub-select may be run again for every row it is joined to, each time locking other rows.
        sql = f"""
            WITH due AS MATERIALIZED (
                SELECT {key} AS due_key FROM {table}
                WHERE (state = 'queued' AND run_at <= %(at)s) OR (state = 'running' AND lease_until <= %(at)s)
                ORDER BY run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            UPDATE {table} SET state = 'running', lease_until = %(lease)s, attempts = attempts + 1
            FROM due WHERE {key} = due_key
            RETURNING {table}.*"""
        parameters: dict[str, Any] = {"lease": at + cls.LEASE, "at": at, "limit": limit}
        return sorted(cls._default_manager.raw(sql, parameters), key=lambda item: item.run_at)

    def _mine(self) -> models.QuerySet[Self]:
        """The row while this worker still holds it: a lease taken over by another is left alone."""
        return type(self)._default_manager.filter(
            pk=self.pk, state=WorkState.RUNNING, lease_until=self.lease_until, attempts=self.attempts
        )

    def finish(self, *, at: datetime) -> bool:
        """Record that the work is done; False when another worker has taken it over."""
        return bool(self._mine().update(state=WorkState.DONE, lease_until=None, finished_at=at, last_error=""))

    def requeue(self, *, run_at: datetime, error: str = "", attempts: int | None = None) -> bool:
        """Give the row back to be run at `run_at`."""
        kept = self.attempts if attempts is None else attempts
        fields = {"run_at": run_at, "last_error": error, "attempts": kept}
        return bool(self._mine().update(state=WorkState.QUEUED, lease_until=None, **fields))

    def mark_dead(self, *, at: datetime, reason: str) -> bool:
        """Stop trying: a person must look at the reason and press Retry."""
        return bool(self._mine().update(state=WorkState.DEAD, lease_until=None, finished_at=at, last_error=reason))
