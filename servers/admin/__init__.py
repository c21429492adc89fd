"""The admin of servers and of the infrastructure they run on."""

from servers.admin.blueprints import BlueprintAdmin
from servers.admin.capacity import (
    AllocationAdmin,
    LocationAdmin,
    NodeAdmin,
    RegionAdmin,
    ReservationAdmin,
    ServerMoveAdmin,
)
from servers.admin.eggs import EggAdmin, EggVariableAdmin, NestAdmin
from servers.admin.history import (
    ListingAdmin,
    OperationAdmin,
    PowerTaskAdmin,
    ProvisioningStepAdmin,
    ProvisioningTaskAdmin,
    ServerAccessAdmin,
    ServerHoldAdmin,
    ServerVariableAdmin,
    UsageBucketAdmin,
    UsageSampleAdmin,
    UsageTaskAdmin,
)
from servers.admin.hytale import HytaleAccountAdmin, HytaleSessionAdmin, HytaleSignInAdmin
from servers.admin.providers import PanelAccountAdmin, ProviderAdmin
from servers.admin.servers import ServerAdmin
from servers.admin.sync import SyncRunAdmin

__all__ = [
    "AllocationAdmin",
    "BlueprintAdmin",
    "EggAdmin",
    "EggVariableAdmin",
    "HytaleAccountAdmin",
    "HytaleSessionAdmin",
    "HytaleSignInAdmin",
    "ListingAdmin",
    "LocationAdmin",
    "NestAdmin",
    "NodeAdmin",
    "OperationAdmin",
    "PanelAccountAdmin",
    "PowerTaskAdmin",
    "ProviderAdmin",
    "ProvisioningStepAdmin",
    "ProvisioningTaskAdmin",
    "RegionAdmin",
    "ReservationAdmin",
    "ServerAccessAdmin",
    "ServerAdmin",
    "ServerHoldAdmin",
    "ServerMoveAdmin",
    "ServerVariableAdmin",
    "SyncRunAdmin",
    "UsageBucketAdmin",
    "UsageSampleAdmin",
    "UsageTaskAdmin",
]
