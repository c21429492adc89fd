"""The admin of work tables: what waits, what failed and why, and Retry."""

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit, tenancy, work
from core.admin_base.actions import ActionContext, ActionError, StaffAction
from core.admin_base.model_admin import ReadOnlyAdmin
from core.models import WorkState

WORK_FIELDS = ("state", "attempts", "run_at", "lease_until", "last_error", "finished_at", "created_at", "updated_at")


def retry(item: Any, context: ActionContext) -> str:
    """Put a dead row back in the queue."""
    with tenancy.as_worker():
        if not work.retry(item, at=context.at):
            raise ActionError(_("It has been queued again already."))
        audit.record(
            action="work.retry",
            entity=item,
            actor=context.user,
            old={"state": WorkState.DEAD},
            new={"state": WorkState.QUEUED},
        )
    return _("Queued again.")


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
            is_bulk=True,
        )
        self.staff_actions = (action, *self.staff_actions)  # type: ignore[misc]
        super().__init__(model, admin_site)
