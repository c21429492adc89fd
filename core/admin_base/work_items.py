"""The admin of work tables: what waits, what failed and why, and Retry."""

from collections.abc import Sequence
from itertools import batched
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core import audit, tenancy, work
from core.admin_base.actions import ActionContext, ActionError, StaffAction
from core.admin_base.model_admin import ReadOnlyAdmin
from core.models import WorkState

WORK_FIELDS = (
    *("state", "attempts", "outages", "run_at", "lease_until"),
    *("last_error", "finished_at", "created_at", "updated_at"),
)


RETRY_BATCH = 1000


def retry(item: Any, context: ActionContext) -> str:
    """Put a dead row back in the queue."""
    if not queue_again([item], context):
        raise ActionError(_("It has been queued again already."))
    return _("Queued again.")


def retry_all(selected: QuerySet[Any], context: ActionContext) -> str:
    """Put every dead row among the selected ones back in the queue, however many; one audit entry a batch."""
    dead = list(selected.filter(state=WorkState.DEAD).order_by("pk").only("pk"))
    count = sum(queue_again(batch, context) for batch in batched(dead, RETRY_BATCH))
    return ngettext("%(count)s row is queued again.", "%(count)s rows are queued again.", count) % {"count": count}


def queue_again(items: Sequence[Any], context: ActionContext) -> int:
    """Queue a batch of one table again, with its audit entry; how many rows were dead until now."""
    with tenancy.as_worker():
        count = work.retry(items, at=context.at)
        if count:
            old, new = {"state": WorkState.DEAD}, {"state": WorkState.QUEUED}
            audit.record_batch(action="work.retry", entities=items, actor=context.user, old=old, new=new, at=context.at)
    return count


class WorkItemAdmin(ReadOnlyAdmin):
    """A work table, newest first. Whoever may change its rows may retry them."""

    list_filter: ClassVar[Any] = ("state", "run_at")
    date_hierarchy = "created_at"
    ordering: ClassVar[Any] = ("-created_at",)

    def __init__(self, model: Any, admin_site: Any) -> None:
        action = StaffAction(
            name="retry",
            label=gettext_lazy("Retry"),
            run=retry,
            permissions=(f"{model._meta.app_label}.change_{model._meta.model_name}",),
            description=gettext_lazy("A worker tries again now, with the attempts counted from zero."),
            is_available=lambda item: item.state == WorkState.DEAD,
            icon="replay",
            run_on_rows=retry_all,
        )
        self.staff_actions = (action, *self.staff_actions)  # type: ignore[misc]
        super().__init__(model, admin_site)
