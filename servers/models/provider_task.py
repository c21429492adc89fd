"""What the tables of work that calls a provider share."""

from typing import Any, ClassVar

from django.db import models

from accounts.models import Organization
from core.models import CoalescedWorkItem, Entity, WorkState
from servers.models.access import PART_OF_SERVER
from servers.models.nodes import Node
from servers.models.providers import Provider


class ProviderTask(Entity, CoalescedWorkItem):
    """Work on one server that calls its provider. The node is that of the last request: the server may be moved."""

    tenancy = PART_OF_SERVER
    SUBJECT: ClassVar[str] = "server"

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    node = models.ForeignKey(Node, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta(CoalescedWorkItem.Meta):
        abstract = True
        indexes: ClassVar[list[Any]] = [
            *CoalescedWorkItem.Meta.indexes,
            models.Index(
                fields=["lease_until"],
                name="%(app_label)s_%(class)s_lease",
                condition=models.Q(state=WorkState.RUNNING),
            ),
        ]
