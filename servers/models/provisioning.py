"""Provisioning: the task that converges a server, and the log of its steps."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core.models import Entity, WorkItem, choices_check
from core.models.work_item import WorkState
from servers.models.access import PART_OF_SERVER
from servers.models.servers import Server


class ProvisioningTask(Entity, WorkItem):
    """Converge one server: one row per server. A request while it runs makes it run again afterwards."""

    tenancy = PART_OF_SERVER
    MAX_ATTEMPTS: ClassVar[int] = 60

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    server = models.OneToOneField(Server, on_delete=models.PROTECT, related_name="provisioning_task")
    is_requested_again = models.BooleanField(_("run once more"), default=False)

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("provisioning task")
        verbose_name_plural = _("provisioning tasks")

    def finish(self, *, at: datetime) -> bool:
        """Done, unless convergence was requested again meanwhile: then it runs again at once."""
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
        """Stop trying, unless convergence was requested again meanwhile."""
        fields = {"finished_at": at, "last_error": reason}
        if self._requested_once().update(state=WorkState.DEAD, lease_until=None, **fields):
            return True
        return self.requeue(run_at=at)  # an error would say that staff queued a dead task again

    def _requested_once(self) -> "models.QuerySet[ProvisioningTask]":
        return self._leased().filter(is_requested_again=False)

    def __str__(self) -> str:
        return f"{self.server}: {self.get_state_display()}"


class Step(models.TextChoices):
    """The steps of the provisioning log that customers see, in the order of a purchase."""

    PLACED = "placed", _("Node assigned")
    ACCOUNT = "account", _("Account ready")
    CREATED = "created", _("Server created")
    INSTALLED = "installed", _("Installed")
    RUNNING = "running", _("Running")
    SUSPENDED = "suspended", _("Suspended")
    RESUMED = "resumed", _("Resumed")
    RESIZED = "resized", _("Resized")
    MOVED = "moved", _("Moved to another node")
    DELETED = "deleted", _("Deleted")
    FAILED = "failed", _("Failed")


class ProvisioningStep(Entity):
    """An entry of a server's provisioning log."""

    tenancy = PART_OF_SERVER
    append_only = True

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="steps")
    step = models.CharField(max_length=12, choices=Step)
    note = models.CharField(max_length=255, blank=True, default="")
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("provisioning step")
        verbose_name_plural = _("provisioning steps")
        ordering = ["at"]
        constraints = [choices_check("servers_step_known", "step", Step)]

    def __str__(self) -> str:
        return f"{self.step} {self.at:%H:%M:%S}"
