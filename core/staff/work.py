"""Staff's pages of work tables: what waits, what died and why, and Retry."""

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit, tenancy, work
from core.models import WorkState
from core.staff.deeds import Act, Deed, Deeds, Refused
from core.staff.record import Record

WORK_FIELDS = ("state", "attempts", "run_at", "lease_until", "last_error", "finished_at", "created_at", "updated_at")


def retry(item: Any, act: Act) -> str:
    """Put a dead row back in the queue."""
    with tenancy.as_worker():
        if not work.retry(item, at=act.at):
            raise Refused(_("It is not dead any more."))
        audit.record(
            action="work.retry",
            entity=item,
            actor=act.user,
            old={"state": WorkState.DEAD},
            new={"state": WorkState.QUEUED},
        )
    return _("It is queued again.")


def retry_deed(label: str) -> Deed:
    """The Retry of one work table; whoever may change its rows may press it."""
    app, _dot, model = label.partition(".")
    return Deed(
        name="retry",
        label=gettext_lazy("Retry"),
        perform=retry,
        permissions=(f"{app}.change_{model}",),
        note=gettext_lazy("A worker will try again at once, with its attempts counted from zero."),
        suits=lambda item: item.state == WorkState.DEAD,
        icon="replay",
        is_bulk=True,
    )


class WorkRecord(Record):
    """A work table, newest trouble first."""

    list_filter: ClassVar[Any] = ("state", "run_at")
    date_hierarchy = "created_at"
    ordering: ClassVar[Any] = ("-created_at",)
    deeds: ClassVar[Deeds] = ()

    def __init__(self, model: Any, admin_site: Any) -> None:
        super().__init__(model, admin_site)
        self.deeds = (retry_deed(model._meta.label_lower), *type(self).deeds)  # type: ignore[misc]
