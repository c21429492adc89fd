"""What every driver offers, in our words. Only the driver's own package knows the vendor's."""

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


class Signal(StrEnum):
    """What a power button asks for."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"


class RemoteState(StrEnum):
    """A server's state as its provider tells it. READY says installed only if no suspension came in between."""

    INSTALLING = "installing"
    INSTALL_FAILED = "install_failed"
    REINSTALL_FAILED = "reinstall_failed"
    SUSPENDED = "suspended"
    RESTORING = "restoring"
    READY = "ready"


class Power(StrEnum):
    """Whether the machine runs."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class PortTaken(outside.Rejected):
    """Nothing was made: these allocations (the provider's refs) belong to somebody else there."""

    def __init__(self, message: str, refs: frozenset[str]) -> None:
        super().__init__(message)
        self.refs = refs


class AlreadyThere(outside.Unavailable):
    """Nothing was made: the provider has something under this key already. Look again."""


class AccountGone(outside.Rejected):
    """Nothing was made: the provider no longer has the owner's account."""


class NotOnNode(outside.Rejected):
    """The panel knows the server and its node does not."""


class WrongState(outside.Rejected):
    """The provider will not do that while the server is as it is."""


class AccountConflict(outside.Rejected):
    """The person's e-mail address or name belongs to a stranger's account there. It is never taken over."""


@dataclass(frozen=True)
class Person:
    """Whom an account at the provider is for; `key` is our user's id."""

    key: UUID
    email: str
    first_name: str
    last_name: str


@dataclass(frozen=True)
class Account:
    """A person's account at the provider."""

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
    """What a server is made from: needed once, to create it."""

    egg_ref: str
    image: str
    startup: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSpec:
    """What a provider is told about a server. `key` is our id, `allocations` its ports' refs, the primary first."""

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
    condition: RemoteState
    limits: Limits
    primary_ref: str
    allocation_refs: frozenset[str] = frozenset()
    can_add_ports: bool = False


@dataclass(frozen=True)
class Usage:
    """What a server uses now. Memory and disk in MiB, cpu in percent of one core, traffic in bytes since the start."""

    power: Power
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
    place_ref: str
    name: str
    memory_mib: int
    disk_mib: int
    memory_overcommit_percent: int
    disk_overcommit_percent: int
    is_open: bool
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
    """A server at the provider, ours or not: what it takes of its node. Sizes in MiB, 0 for unlimited."""

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

    places: tuple[RemoteLocation, ...]
    nodes: tuple[RemoteNode, ...]
    ports: tuple[RemoteAllocation, ...]
    servers: tuple[RemoteServerSummary, ...]
    nests: tuple[RemoteNest, ...]
    eggs: tuple[RemoteEgg, ...]


class Provider(Protocol):
    """A machine room we rent. Every call may be repeated without harm, and raises core.outside's errors.

    No call may be made inside a database transaction.
    """

    capabilities: frozenset[Capability]

    def account_of(self, person: Person) -> Account:
        """The person's account, made if need be. One call at a time per provider. Raises AccountConflict."""

    def find(self, key: UUID) -> RemoteServer | None:
        """What the provider has under our key; None only when it is certainly absent."""

    def create(self, spec: ServerSpec, build: Build) -> RemoteServer:
        """Ask for the machine. After Unknown, look before asking again. Raises AlreadyThere, PortTaken, AccountGone."""

    def reinstall(self, server: RemoteServer) -> None:
        """Install again from the start; lifts a suspension. Raises NotOnNode."""

    def resize(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Give it the spec's limits and ports; the answer tells which it really has."""

    def describe(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Give it the spec's name, owner and key."""

    def suspend(self, server: RemoteServer) -> None:
        """Stop it and keep it stopped. Raises NotOnNode."""

    def resume(self, server: RemoteServer) -> None:
        """Lift a suspension; nothing is started. Raises NotOnNode."""

    def delete(self, server: RemoteServer) -> None:
        """Remove it with all it holds; one that is gone already is fine."""

    def press(self, identifier: str, signal: Signal) -> None:
        """Pass a power signal on; what comes of it shows later. Raises WrongState, NotOnNode."""

    def usage(self, identifier: str) -> Usage:
        """What it uses, perhaps some seconds old. Raises WrongState, NotOnNode."""

    def inventory(self) -> Inventory:
        """Everything there is."""
