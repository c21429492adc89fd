"""The admin of servers and of the infrastructure they run on."""

from servers.admin.blueprints import BlueprintAdmin
from servers.admin.capacity import AllocationAdmin, LocationAdmin, NodeAdmin, ReservationAdmin
from servers.admin.eggs import EggAdmin, EggPropertyAdmin, EggVariableAdmin, NestAdmin
from servers.admin.history import (
    PowerTaskAdmin,
    ProvisioningStepAdmin,
    ProvisioningTaskAdmin,
    ServerAccessAdmin,
    ServerHoldAdmin,
    ServerVariableAdmin,
    UsageSampleAdmin,
    UsageTaskAdmin,
)
from servers.admin.providers import PanelAccountAdmin, ProviderAdmin, SyncRunAdmin
from servers.admin.servers import ServerAdmin

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
    "PowerTaskAdmin",
    "ProviderAdmin",
    "ProvisioningStepAdmin",
    "ProvisioningTaskAdmin",
    "ReservationAdmin",
    "ServerAccessAdmin",
    "ServerAdmin",
    "ServerHoldAdmin",
    "ServerVariableAdmin",
    "SyncRunAdmin",
    "UsageSampleAdmin",
    "UsageTaskAdmin",
]
