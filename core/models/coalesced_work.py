"""Work with one row for what it is about, which is requested again and again: requests coalesce."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.models.work_item import WorkItem, WorkState


class CoalescedWorkItem(WorkItem):
    """A unit of work that a request queues again. A request while it runs makes it run once more afterwards.

    `SUBJECT` names the field that says what it is about, of which the table has one row each, or one for each `part`.
    """

    SUBJECT: ClassVar[str]

    is_requested_again = models.BooleanField(_("run once more"), default=False)

    class Meta(WorkItem.Meta):
        abstract = True

    @classmethod
    def request(
        cls, subject: models.Model, part: Mapping[str, Any] | None = None, /, *, at: datetime, **values: Any
    ) -> Self:
        """Have it run with these values of its columns, its attempts counted from zero. In the worker's transaction."""
        rows = cls._default_manager.select_for_update(no_key=True)
        row, is_new = rows.get_or_create(**{cls.SUBJECT: subject, **(part or {})}, defaults={**values, "run_at": at})
        if is_new:
            return row
        if row.state == WorkState.RUNNING:
            changes = {**values, "is_requested_again": True}
        else:
            run_at = min(row.run_at, at) if row.state == WorkState.QUEUED else at
            counted = {"attempts": 0, "outages": 0, "last_error": "", "finished_at": None}
            changes = {**values, **counted, "state": WorkState.QUEUED, "run_at": run_at}
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=list(changes))
        return row

    def finish(self, *, at: datetime) -> bool:
        """Done, unless it was requested again meanwhile: then it runs again at once."""
        if self._requested_once().update(state=WorkState.DONE, lease_until=None, finished_at=at, last_error=""):
            return True
        return self.requeue(run_at=at)

    def requeue(self, *, run_at: datetime, error: str = "", attempts: int = 0, outages: int = 0) -> bool:
        """Put the row back in the queue; a request made meanwhile does not wait for `run_at`."""
        due = models.Case(models.When(is_requested_again=True, then=models.F("run_at")), default=models.Value(run_at))
        fields = {"last_error": error, "attempts": attempts, "outages": outages}
        rows = self._leased()
        return bool(
            rows.update(state=WorkState.QUEUED, lease_until=None, run_at=due, is_requested_again=False, **fields)
        )

    def mark_dead(self, *, at: datetime, reason: str) -> bool:
        """Stop trying, unless it was requested again meanwhile."""
        fields = {"finished_at": at, "last_error": reason}
        if self._requested_once().update(state=WorkState.DEAD, lease_until=None, **fields):
            return True
        return self.requeue(run_at=at)  # an error would say that staff queued a dead task again

    def _requested_once(self) -> models.QuerySet[Self]:
        return self._leased().filter(is_requested_again=False)
