"""Provisioning: the task that converges a server, and the log of its steps."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core.models import Entity, Lane, choices_check
from servers.models.access import PART_OF_SERVER
from servers.models.provider_task import ProviderTask
from servers.models.servers import Server


class ProvisioningTask(ProviderTask):
    """Converge one server: one row per server. A request while it runs makes it run again afterwards."""

    LANE: ClassVar[Lane] = Lane("provisioning", {"provider_id": 3, "node_id": 2})
    MAX_ATTEMPTS: ClassVar[int] = 60

    server = models.OneToOneField(Server, on_delete=models.PROTECT, related_name="provisioning_task")

    class Meta(ProviderTask.Meta):
        abstract = False
        verbose_name = _("provisioning task")
        verbose_name_plural = _("provisioning tasks")

    def __str__(self) -> str:
        return f"{self.server}: {self.get_state_display()}"


class Step(models.TextChoices):
    """The steps of the provisioning log that customers see, in the order of a purchase."""

    PLACED = "placed", _("Node assigned")
    ADOPTED = "adopted", _("Taken over as it was")
    ACCOUNT = "account", _("Account ready")
    CREATED = "created", _("Server created")
    INSTALLED = "installed", _("Installed")
    RUNNING = "running", _("Running")
    SUSPENDED = "suspended", _("Suspended")
    RESUMED = "resumed", _("Resumed")
    RESIZED = "resized", _("Resized")
    MOVED = "moved", _("Moved to another node")
    BACKED_UP = "backed_up", _("Final backup kept")
    DELETED = "deleted", _("Deleted")
    FAILED = "failed", _("Failed")


class ProvisioningStep(Entity):
    """An entry of a server's provisioning log."""

    tenancy = PART_OF_SERVER
    append_only = True
    erasable_fields = ("organization_id",)  # another organization may have the server one day

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
