"""The protocol of drivers, and what they take and answer. Only a driver's own package knows its vendor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from core import outside


class Capability(StrEnum):
    """What a provider can do beyond creating and deleting; pages show only that."""

    POWER = "power"
    USAGE = "usage"
    REINSTALL = "reinstall"
    RESIZE = "resize"
    INVENTORY = "inventory"


class PowerAction(StrEnum):
    """What a customer may do with a server's power."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"


class RemoteState(StrEnum):
    """A server's state as its provider reports it. READY means installed only if no suspension came in between."""

    INSTALLING = "installing"
    INSTALL_FAILED = "install_failed"
    REINSTALL_FAILED = "reinstall_failed"
    SUSPENDED = "suspended"
    RESTORING = "restoring"
    READY = "ready"


class PowerState(StrEnum):
    """Whether a server runs."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class PortTaken(outside.Rejected):
    """Nothing was created: these allocations (the provider's refs) are assigned to another server there."""

    def __init__(self, message: str, refs: frozenset[str]) -> None:
        super().__init__(message)
        self.refs = refs


class AlreadyExists(outside.Unavailable):
    """Nothing was created: the provider has a server under this key already. Look again."""


class AccountNotFound(outside.Rejected):
    """Nothing was created: the provider no longer has the owner's account."""


class VariablesRefused(outside.Rejected):
    """Nothing was created: these egg variables' values are not valid. `messages` says what to enter, by variable."""

    def __init__(self, message: str, messages: Mapping[str, str]) -> None:
        super().__init__(message)
        self.messages = dict(messages)


class NotOnNode(outside.Rejected):
    """The panel has the server and its node does not."""


class WrongState(outside.Rejected):
    """The provider does not do that in the server's present state."""


class AccountConflict(outside.Rejected):
    """The owner's e-mail address or name belongs to another account there, which is never taken over."""


@dataclass(frozen=True)
class AccountOwner:
    """The user that an account at the provider is for; `key` is our user's id."""

    key: UUID
    email: str
    first_name: str
    last_name: str


@dataclass(frozen=True)
class Account:
    """A user's account at the provider."""

    ref: str
    username: str
    is_admin: bool = False


@dataclass(frozen=True)
class Limits:
    """How much a server may use. Memory and disk in MiB, cpu in percent of one core."""

    memory_mib: int
    disk_mib: int
    cpu_percent: int
    databases: int = 0
    backups: int = 0


@dataclass(frozen=True)
class Build:
    """What a server is built from; needed only to create it."""

    egg_ref: str
    image: str
    startup: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSpec:
    """A server as it should be. `key` is our id, `allocations` are its ports' refs, the primary first."""

    key: UUID
    name: str
    account: Account
    limits: Limits
    allocations: tuple[str, ...]


@dataclass(frozen=True)
class RemoteServer:
    """A server as the provider has it."""

    ref: str
    identifier: str
    key: str
    name: str
    account_ref: str
    node_ref: str
    state: RemoteState
    limits: Limits
    primary_ref: str
    allocation_refs: frozenset[str] = frozenset()
    can_add_ports: bool = False


@dataclass(frozen=True)
class Usage:
    """What a server uses now. Memory and disk in MiB, cpu in percent of one core, traffic in bytes since the start."""

    power_state: PowerState
    cpu_percent: Decimal
    memory_mib: int
    disk_mib: int
    received_bytes: int
    sent_bytes: int
    uptime_seconds: int


@dataclass(frozen=True)
class RemoteLocation:
    """A location at the provider."""

    ref: str
    code: str
    name: str


@dataclass(frozen=True)
class RemoteNode:
    """A node at the provider. Sizes in MiB; overcommit as the provider's own default in percent."""

    ref: str
    location_ref: str
    name: str
    memory_mib: int
    disk_mib: int
    memory_overcommit_percent: int
    disk_overcommit_percent: int
    is_public: bool
    is_in_maintenance: bool


@dataclass(frozen=True)
class RemoteAllocation:
    """An allocation at the provider."""

    ref: str
    node_ref: str
    ip: str
    alias: str
    port: int
    is_assigned: bool


@dataclass(frozen=True)
class RemoteServerSummary:
    """A server at the provider, ours or not, and what it takes of its node. Sizes in MiB, 0 for unlimited."""

    ref: str
    key: str
    name: str
    node_ref: str
    memory_mib: int
    disk_mib: int
    allocation_refs: tuple[str, ...]


@dataclass(frozen=True)
class RemoteEggVariable:
    """An egg's variable at the provider."""

    ref: str
    name: str
    description: str
    env_variable: str
    default_value: str
    is_user_viewable: bool
    is_user_editable: bool
    rules: str


@dataclass(frozen=True)
class RemoteEgg:
    """An egg at the provider."""

    ref: str
    nest_ref: str
    name: str
    author: str
    description: str
    docker_images: Mapping[str, str]
    first_image: str
    startup: str
    variables: tuple[RemoteEggVariable, ...]


@dataclass(frozen=True)
class RemoteNest:
    """A nest at the provider."""

    ref: str
    name: str
    author: str
    description: str


@dataclass(frozen=True)
class Inventory:
    """All that a provider has, at about one instant."""

    locations: tuple[RemoteLocation, ...]
    nodes: tuple[RemoteNode, ...]
    allocations: tuple[RemoteAllocation, ...]
    servers: tuple[RemoteServerSummary, ...]
    nests: tuple[RemoteNest, ...]
    eggs: tuple[RemoteEgg, ...]


class Driver(Protocol):
    """A provider of servers. Every call may be repeated without harm, and raises core.outside's errors.

    No call may be made inside a database transaction.
    """

    capabilities: frozenset[Capability]

    def account_of(self, owner: AccountOwner) -> Account:
        """The owner's account, created if necessary. One call at a time per provider. Raises AccountConflict."""

    def find(self, key: UUID) -> RemoteServer | None:
        """What the provider has under our key; None only when it is certainly absent."""

    def create(self, spec: ServerSpec, build: Build) -> RemoteServer:
        """Create the server. After Unknown, call find first. Raises AlreadyExists, PortTaken, AccountNotFound,
        VariablesRefused.
        """

    def reinstall(self, server: RemoteServer) -> None:
        """Install again from the start; lifts a suspension. Raises NotOnNode."""

    def resize(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Change it to the spec's limits and ports; the answer says which it really has."""

    def update_details(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Change it to the spec's name, owner and key."""

    def suspend(self, server: RemoteServer) -> None:
        """Stop it and keep it stopped. Raises NotOnNode."""

    def resume(self, server: RemoteServer) -> None:
        """Lift a suspension; nothing is started. Raises NotOnNode."""

    def delete(self, server: RemoteServer) -> None:
        """Delete it with all its files; one that is already deleted is fine."""

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it; the outcome shows later. Raises WrongState, NotOnNode."""

    def usage(self, identifier: str) -> Usage:
        """What it uses; may be some seconds old. Raises WrongState, NotOnNode."""

    def inventory(self) -> Inventory:
        """Everything that the provider has."""
