"""servers' tables."""

from servers.models.blueprints import Blueprint
from servers.models.capacity import Reservation, ReservationState
from servers.models.eggs import Egg, EggProperty, EggVariable, Nest
from servers.models.places import Allocation, Location, Node
from servers.models.providers import Health, PanelAccount, Provider, ProviderKind, SyncKind, SyncRun, SyncState
from servers.models.servers import DesiredState, HoldKind, Server, ServerHold, ServerStatus, ServerVariable
from servers.models.tasks import ProvisioningStep, ProvisioningTask, Step

__all__ = [
    "Allocation",
    "Blueprint",
    "DesiredState",
    "Egg",
    "EggProperty",
    "EggVariable",
    "Health",
    "HoldKind",
    "Location",
    "Nest",
    "Node",
    "PanelAccount",
    "Provider",
    "ProviderKind",
    "ProvisioningStep",
    "ProvisioningTask",
    "Reservation",
    "ReservationState",
    "Server",
    "ServerHold",
    "ServerStatus",
    "ServerVariable",
    "Step",
    "SyncKind",
    "SyncRun",
    "SyncState",
]
