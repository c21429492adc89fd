"""The registered drivers, by kind of provider."""

from collections.abc import Callable

from servers.drivers.base import Driver, DriverFacts
from servers.models import Provider

_drivers: dict[str, tuple[Callable[[Provider], Driver], DriverFacts]] = {}


def register(kind: str, connect: Callable[[Provider], Driver], facts: DriverFacts) -> None:
    """Register the driver of a kind; called from AppConfig.ready()."""
    _drivers[kind] = connect, facts


def facts() -> dict[str, DriverFacts]:
    """What is true of the providers of each kind that has a driver."""
    return {kind: known for kind, (_connect, known) in _drivers.items()}


def driver_of(provider: Provider) -> Driver:
    """The driver for a provider's row, with its address and credentials. LookupError for a kind without a driver."""
    if provider.kind not in _drivers:
        raise LookupError(f"no driver for providers of kind {provider.kind}")
    connect, _facts = _drivers[provider.kind]
    return connect(provider)
