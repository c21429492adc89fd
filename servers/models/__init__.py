"""The tables of servers."""

from servers.models.access import ServerAccess
from servers.models.allocations import FREE, Allocation
from servers.models.blueprints import Blueprint
from servers.models.eggs import Egg, EggProperty, EggVariable, Nest
from servers.models.live import PowerOutcome, PowerStatus, PowerTask, UsageSample, UsageTask
from servers.models.locations import Location
from servers.models.nodes import Node
from servers.models.providers import Health, PanelAccount, Provider, SyncKind, SyncRun, SyncState
from servers.models.provisioning import ProvisioningStep, ProvisioningTask, Step
from servers.models.reservations import Reservation, ReservationState
from servers.models.servers import DesiredState, HoldKind, Server, ServerHold, ServerStatus, ServerVariable

__all__ = [
    "FREE",
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
    "PowerOutcome",
    "PowerStatus",
    "PowerTask",
    "Provider",
    "ProvisioningStep",
    "ProvisioningTask",
    "Reservation",
    "ReservationState",
    "Server",
    "ServerAccess",
    "ServerHold",
    "ServerStatus",
    "ServerVariable",
    "Step",
    "SyncKind",
    "SyncRun",
    "SyncState",
    "UsageSample",
    "UsageTask",
]
