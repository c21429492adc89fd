"""Reading everything that a provider lists, before the transaction that stores it."""

from collections.abc import Sequence
from dataclasses import dataclass

from servers.drivers.base import Driver
from servers.drivers.inventory import (
    AllocationInventory,
    EggInventory,
    Inventory,
    RemoteAllocation,
    RemoteEgg,
    RemoteLocation,
    RemoteNest,
    RemoteNode,
    RemoteServerSummary,
)


@dataclass(frozen=True)
class RemoteInventory:
    """All that a provider has, at about one instant. What it does not have at all is empty."""

    locations: Sequence[RemoteLocation] = ()
    nodes: Sequence[RemoteNode] = ()
    servers: Sequence[RemoteServerSummary] = ()
    allocations: Sequence[RemoteAllocation] = ()
    nests: Sequence[RemoteNest] = ()
    eggs: Sequence[RemoteEgg] = ()


def read_inventory(driver: Driver) -> RemoteInventory:
    """Every list that the driver has, one after another: what changes meanwhile is read by the next sync."""
    return RemoteInventory(
        locations=tuple(driver.locations()) if isinstance(driver, Inventory) else (),
        nodes=tuple(driver.nodes()) if isinstance(driver, Inventory) else (),
        servers=tuple(driver.servers()) if isinstance(driver, Inventory) else (),
        allocations=tuple(driver.allocations()) if isinstance(driver, AllocationInventory) else (),
        nests=tuple(driver.nests()) if isinstance(driver, EggInventory) else (),
        eggs=tuple(driver.eggs()) if isinstance(driver, EggInventory) else (),
    )
