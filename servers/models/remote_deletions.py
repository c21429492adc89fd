"""Deleting what a provider has and that is no server of ours."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Lane, WorkItem, WorkState
from servers.models.nodes import Node
from servers.models.providers import Provider
from servers.models.provisioning import ProvisioningTask


class RemoteDeletion(Entity, WorkItem):
    """Delete a server at a provider that is no server of ours. `identifier` says which one staff looked at."""

    tenancy = tenancy.PRIVATE
    LANE: ClassVar[Lane] = ProvisioningTask.LANE

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64)
    identifier = models.CharField(_("short panel ID"), max_length=64, blank=True, default="")
    name = models.CharField(_("name"), max_length=191)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta(WorkItem.Meta):
        verbose_name = _("deletion at a provider")
        verbose_name_plural = _("deletions at providers")
        indexes: ClassVar[list[Any]] = [
            *WorkItem.Meta.indexes,
            models.Index(
                fields=["lease_until"],
                name="%(app_label)s_%(class)s_lease",
                condition=models.Q(state=WorkState.RUNNING),
            ),
        ]
        constraints: ClassVar[list[Any]] = [
            *WorkItem.Meta.constraints,
            models.UniqueConstraint(
                fields=["provider", "ref"],
                condition=models.Q(state__in=[WorkState.QUEUED, WorkState.RUNNING]),
                name="servers_remote_deletion_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.ref})"
