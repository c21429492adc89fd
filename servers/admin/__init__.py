"""Staff's pages about machines."""

from servers.admin.blueprints import BlueprintAdmin
from servers.admin.eggs import EggAdmin, EggPropertyAdmin, EggVariableAdmin, NestAdmin
from servers.admin.places import AllocationAdmin, LocationAdmin, NodeAdmin, ReservationAdmin
from servers.admin.providers import PanelAccountAdmin, ProviderAdmin, SyncRunAdmin
from servers.admin.servers import ServerAdmin
from servers.admin.trail import ProvisioningStepAdmin, ProvisioningTaskAdmin, ServerHoldAdmin, ServerVariableAdmin

__all__ = [
    "AllocationAdmin",
    "BlueprintAdmin",
    "EggAdmin",
    "EggPropertyAdmin",
    "EggVariableAdmin",
    "LocationAdmin",
    "NestAdmin",
    "NodeAdmin",
    "PanelAccountAdmin",
    "ProviderAdmin",
    "ProvisioningStepAdmin",
    "ProvisioningTaskAdmin",
    "ReservationAdmin",
    "ServerAdmin",
    "ServerHoldAdmin",
    "ServerVariableAdmin",
    "SyncRunAdmin",
]
