"""What the tables of work that calls a provider share."""

from typing import Any, ClassVar

from django.db import models

from accounts.models import Organization
from core.models import CoalescedWorkItem, Entity, WorkItem, WorkState
from servers.models.access import PART_OF_SERVER
from servers.models.nodes import Node
from servers.models.providers import Provider


class ProviderWork(Entity, WorkItem):
    """Work on one server that calls its provider. The node is that of the request: the server may be moved."""

    tenancy = PART_OF_SERVER

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta(WorkItem.Meta):
        abstract = True
        indexes: ClassVar[list[Any]] = [
            *WorkItem.Meta.indexes,
            models.Index(
                fields=["lease_until"],
                name="%(app_label)s_%(class)s_lease",
                condition=models.Q(state=WorkState.RUNNING),
            ),
        ]

    @property
    def is_open(self) -> bool:
        """Whether it has yet to end."""
        return self.state in {WorkState.QUEUED, WorkState.RUNNING}


class ProviderTask(ProviderWork, CoalescedWorkItem):
    """Such work of which a server has one row, requested again and again."""

    SUBJECT: ClassVar[str] = "server"

    class Meta(ProviderWork.Meta):
        abstract = True
