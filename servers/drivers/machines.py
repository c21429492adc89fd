"""What the drivers of machines and clouds say alike."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import outside
from servers.drivers.base import MachineBuild, ServerSpec
from servers.drivers.inventory import RemoteNode, line
from servers.models import Step

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# From a paid order to a machine that its cloud places by itself.
CLOUD_STEPS: "Mapping[str, StrOrPromise]" = {
    Step.PLACED: gettext_lazy("Region chosen"),
    Step.CREATED: gettext_lazy("Machine created"),
    Step.INSTALLED: gettext_lazy("System installed"),
    Step.RUNNING: gettext_lazy("Running"),
}


def machine_build(spec: ServerSpec) -> MachineBuild:
    """What the server is built from. Raises Rejected for what is no machine."""
    if not isinstance(spec.build, MachineBuild):
        raise outside.Rejected(_("This provider makes machines, and the blueprint names no plan of one."))
    return spec.build


def elastic_node(ref: str, name: str, *, is_in_maintenance: bool) -> RemoteNode:
    """A cloud's region as a node: the cloud chooses the host, and says nothing of its size."""
    return RemoteNode(
        ref=ref,
        location_ref=ref,
        name=line(name),
        memory_mib=0,
        disk_mib=0,
        memory_overcommit_percent=0,
        disk_overcommit_percent=0,
        is_public=True,
        is_in_maintenance=is_in_maintenance,
        is_elastic=True,
    )
