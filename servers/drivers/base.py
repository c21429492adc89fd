"""The core of every driver, and what it takes and answers. Only a driver's own package knows its vendor.

What only some providers can do is in `servers.drivers.abilities`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from catalog.models import AddonKind
from core import outside
from core.credentials import CredentialField
from servers.models import Build

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class PowerAction(StrEnum):
    """What a customer may do with a server's power."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"


class RemoteState(StrEnum):
    """A server's state as its provider reports it. READY means installed only if no suspension came in between.

    CREATED: nothing is installed, and the install is asked for by a call of its own (`Reinstall`).
    """

    CREATED = "created"
    INSTALLING = "installing"
    INSTALL_FAILED = "install_failed"
    REINSTALL_FAILED = "reinstall_failed"
    SUSPENDED = "suspended"
    RESTORING = "restoring"
    READY = "ready"


class Difference(StrEnum):
    """In what a server differs from its spec."""

    KEY = "key"
    NAME = "name"
    ACCOUNT = "account"
    SIZE = "size"
    PORTS = "ports"


class PowerState(StrEnum):
    """Whether a server runs."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class PortTaken(outside.Rejected):
    """These allocations (the provider's refs) are assigned to another server there. Nothing was created."""

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
class Account:
    """A user's account at the provider."""

    ref: str
    username: str
    is_admin: bool = False
    email: str = ""


@dataclass(frozen=True)
class Limits:
    """How much a server may use. Memory and disk in MiB, cpu in percent of one core."""

    memory_mib: int
    disk_mib: int
    cpu_percent: int
    databases: int = 0
    backups: int = 0


@dataclass(frozen=True)
class GameBuild:
    """A game: an egg of a panel. Only creation needs it. One that does not start after its install is started by us."""

    egg_ref: str
    image: str
    startup: str
    environment: Mapping[str, str] = field(default_factory=dict)
    starts_after_install: bool = True


@dataclass(frozen=True)
class MachineBuild:
    """A machine: the provider's own plan, which is its size, an image of an operating system, and what runs at the
    first boot. `root_password` and `ssh_keys` (whole lines of public keys) let its customer in.
    """

    plan_ref: str
    image: str
    user_data: str = ""
    root_password: str = field(default="", repr=False)
    ssh_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContainerBuild:
    """A container: an image, its command or none, the ports that its program listens on, and the folders it keeps."""

    image: str
    command: str = ""
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSpec:
    """A server as it should be.

    `key` is our id, the same for ever; `attempt` counts the creations. `node_ref` is None where the provider chooses
    the node, `account` where it has no accounts. `allocations` are the refs of its ports, the primary first. A game's
    `build` is there only for creation: what a running game was built from is not compared.
    """

    key: UUID
    attempt: int
    name: str
    kind: str
    limits: Limits
    location_ref: str
    node_ref: str | None = None
    allocations: tuple[str, ...] = ()
    account: Account | None = None
    build: GameBuild | MachineBuild | ContainerBuild | None = None


@dataclass(frozen=True)
class Attempt:
    """A creation that was asked for, and the ids that the provider gave the server; empty where none was read.

    `note` is what `ComparedCreation.before_create` said, while it is not known whether the creation worked.
    """

    number: int
    ref: str
    identifier: str
    note: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """Where a server is reached. `alias` is shown instead of the ip; `ref` is the allocation's where it is one."""

    ip: str
    alias: str = ""
    port: int | None = None
    ref: str = ""

    def __str__(self) -> str:
        host = self.alias or self.ip
        if self.port is None:
            return host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(frozen=True)
class RemoteServer:
    """A server as the provider has it. `addresses` has the main one first, and is empty where they are not known.

    `node_ref` is None where the provider does not say. `facts` is what the driver itself compares with the spec.
    """

    ref: str
    identifier: str
    state: RemoteState
    addresses: tuple[Address, ...] = ()
    node_ref: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


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
class BuildFacts:
    """What is true of one build of a driver.

    `min_ports` is how many ports a server needs at least. `addons` are the kinds of add-ons that reach its servers: a
    machine has the size of the provider's plan, and nothing else. `user_data_problem` says what is wrong with a
    blueprint's user data, where the provider asks for some form.
    """

    min_ports: int = 0
    addons: frozenset[AddonKind] = frozenset()
    user_data_problem: Callable[[str], str] | None = None


@dataclass(frozen=True)
class DriverFacts:
    """What is true of every provider of a kind.

    `builds` are the builds of blueprints that it can make. `calls_per_minute` is what a provider allows; half of it
    is for watching installs. `measures_usage`: its figures are more than whether a server is on, so running servers are
    sampled while nobody looks. `usage_max_age` is how old the figures may be that it answers.
    `install_starts_server`: a server that is off after its install was not installed. `reinstall_keeps_data`:
    installing again loses nothing, so it may be done without asking a person. `suspension_hides_install`: after a
    suspension it is unknown how the install ended. `takes_root_password`: machines get the root password of their
    build. `rebuild_keeps_access`: who may sign in to a machine stays as it was at its creation. `credentials` are the
    keys that staff enter; `default_url` is the address of a provider that has but one; without `has_address` a provider
    has none, and its configuration says where it is. `configuration_problem` says why a configuration cannot be used,
    or nothing. `steps` are the steps of a purchase, by their codes, as customers read them. `move_instruction` tells
    staff how to move a server to another node; empty where that is not possible.
    """

    label: str
    builds: Mapping[Build, BuildFacts]
    calls_per_minute: int
    steps: "Mapping[str, StrOrPromise]"
    move_instruction: "StrOrPromise" = ""
    credentials: tuple[CredentialField, ...] = ()
    default_url: str = ""
    measures_usage: bool = False
    has_address: bool = True
    configuration_problem: Callable[[Any], str] | None = None
    usage_max_age: timedelta = timedelta(0)
    start_timeout: timedelta = timedelta(seconds=60)
    lost_answer_wait: timedelta = timedelta(seconds=30)
    install_starts_server: bool = False
    reinstall_keeps_data: bool = False
    suspension_hides_install: bool = False
    takes_root_password: bool = False
    rebuild_keeps_access: bool = False


class Driver(Protocol):
    """A provider of servers. Every call may be repeated without harm, and raises core.outside's errors.

    No call may be made inside a database transaction.
    """

    facts: DriverFacts

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """What the provider has of the server, by our key or by what the attempts to create it left; None only when
        it is certainly absent.
        """

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Create the server. After Unknown, call find first. Raises AlreadyExists, PortTaken, AccountNotFound,
        VariablesRefused.
        """

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """In what the server differs from the spec. Makes no call."""

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """Take away one or several of the differences; what it then is. Raises PortTaken."""

    def delete(self, remote: RemoteServer) -> None:
        """Delete it with all its files; one that is already deleted is fine."""
