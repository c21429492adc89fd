"""What a provider has, as drivers read it: each kind by itself, one after another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from core.masking import storable

MAX_LINE = 191  # characters, as our columns hold


def line(value: Any, max_length: int = MAX_LINE) -> str:
    """A name as a provider says it, cut to what we keep of one; empty for none."""
    return text(value)[:max_length]


def text(value: Any) -> str:
    """A text as a provider says it, without what a database cannot hold; empty for none."""
    return "" if value is None else storable(str(value))


@dataclass(frozen=True)
class RemoteLocation:
    """A location at the provider."""

    ref: str
    code: str
    name: str


@dataclass(frozen=True)
class RemoteNode:
    """A node at the provider. Sizes in MiB; overcommit as the provider's own default in percent.

    A location whose machines the provider does not show is one elastic node, without a size.
    """

    ref: str
    location_ref: str
    name: str
    memory_mib: int
    disk_mib: int
    memory_overcommit_percent: int
    disk_overcommit_percent: int
    is_public: bool
    is_in_maintenance: bool
    is_elastic: bool = False


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
    """A server at the provider, ours or not, and what it takes of its node. Sizes in MiB, 0 for unlimited.

    `account_ref` is empty where the provider has no accounts, `is_suspended` None where it does not say. `identifier`
    is that of `RemoteServer`, empty where a server that is not ours cannot be made ours. `build_ref` is a game's egg or
    a machine's plan there, empty where the provider does not say. Of `allocation_refs` the first is the primary port.
    """

    ref: str
    key: str
    name: str
    node_ref: str
    memory_mib: int
    disk_mib: int
    allocation_refs: tuple[str, ...]
    cpu_percent: int = 0
    account_ref: str = ""
    is_suspended: bool | None = None
    identifier: str = ""
    build_ref: str = ""


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
class RemoteAccount:
    """A user's account at the provider; `key` is our user's id where it is ours."""

    ref: str
    key: str
    username: str
    email: str
    is_admin: bool


@runtime_checkable
class Inventory(Protocol):
    """A provider whose locations, nodes and servers can be listed. Each list is read anew, page by page."""

    def locations(self) -> Iterator[RemoteLocation]:
        """Every location."""

    def nodes(self) -> Iterator[RemoteNode]:
        """Every node; an elastic one for each location where the provider chooses the machine."""

    def servers(self) -> Iterator[RemoteServerSummary]:
        """Every server, ours or not."""


@runtime_checkable
class AllocationInventory(Protocol):
    """A provider whose nodes have ports that are assigned to servers."""

    def allocations(self) -> Iterator[RemoteAllocation]:
        """Every allocation of every node."""


@runtime_checkable
class EggInventory(Protocol):
    """A provider whose servers are built from eggs."""

    def nests(self) -> Iterator[RemoteNest]:
        """Every nest."""

    def eggs(self) -> Iterator[RemoteEgg]:
        """Every egg of every nest, with its variables."""


@runtime_checkable
class AccountInventory(Protocol):
    """A provider where every server belongs to an account of its owner."""

    def accounts(self) -> Iterator[RemoteAccount]:
        """Every account, ours or not."""


@runtime_checkable
class ServerLookup(Protocol):
    """A provider that can be asked about any of its servers, ours or not, by the number that it has there."""

    def look_up(self, ref: str) -> RemoteServerSummary | None:
        """The server with this number; None only when there is certainly none."""
