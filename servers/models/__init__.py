"""The tables of servers."""

from servers.models.access import ServerAccess
from servers.models.allocations import FREE, Allocation
from servers.models.blueprints import Blueprint, BlueprintImage, Build, QueryProtocol
from servers.models.eggs import Egg, EggVariable, Nest
from servers.models.hytale import (
    HytaleAccount,
    HytaleSession,
    HytaleSignIn,
    HytaleState,
    SessionStatus,
    SignInOutcome,
)
from servers.models.live import PowerOutcome, PowerStatus, PowerTask, UsageBucket, UsageSample, UsageTask
from servers.models.locations import Location
from servers.models.moves import ServerMove
from servers.models.nodes import Node
from servers.models.operations import Listing, Operation, OperationOutcome
from servers.models.providers import Health, PanelAccount, Placement, Provider
from servers.models.provisioning import ProvisioningStep, ProvisioningTask, Step
from servers.models.regions import Region
from servers.models.remote_deletions import RemoteDeletion
from servers.models.reservations import Reservation, ReservationState
from servers.models.servers import DesiredState, HoldKind, Server, ServerHold, ServerStatus, ServerVariable
from servers.models.sync import (
    DriftFinding,
    DriftKind,
    RemoteAccountSeen,
    RemoteServerSeen,
    SyncKind,
    SyncRun,
    SyncState,
)

__all__ = [
    "FREE",
    "Allocation",
    "Blueprint",
    "BlueprintImage",
    "Build",
    "DesiredState",
    "DriftFinding",
    "DriftKind",
    "Egg",
    "EggVariable",
    "Health",
    "HoldKind",
    "HytaleAccount",
    "HytaleSession",
    "HytaleSignIn",
    "HytaleState",
    "Listing",
    "Location",
    "Nest",
    "Node",
    "Operation",
    "OperationOutcome",
    "PanelAccount",
    "Placement",
    "PowerOutcome",
    "PowerStatus",
    "PowerTask",
    "Provider",
    "ProvisioningStep",
    "ProvisioningTask",
    "QueryProtocol",
    "Region",
    "RemoteAccountSeen",
    "RemoteDeletion",
    "RemoteServerSeen",
    "Reservation",
    "ReservationState",
    "Server",
    "ServerAccess",
    "ServerHold",
    "ServerMove",
    "ServerStatus",
    "ServerVariable",
    "SessionStatus",
    "SignInOutcome",
    "Step",
    "SyncKind",
    "SyncRun",
    "SyncState",
    "UsageBucket",
    "UsageSample",
    "UsageTask",
]
