"""The registered drivers, by kind of provider."""

from collections.abc import Callable

from servers.drivers import base
from servers.models import Provider

_drivers: dict[str, Callable[[Provider], base.Driver]] = {}


def register(kind: str, driver: Callable[[Provider], base.Driver]) -> None:
    """Register the driver of a kind; called from AppConfig.ready()."""
    _drivers[kind] = driver


def driver_of(provider: Provider) -> base.Driver:
    """The driver for a provider's row, with its address and credentials. LookupError for a kind without a driver."""
    if provider.kind not in _drivers:
        raise LookupError(f"no driver for providers of kind {provider.kind}")
    return _drivers[provider.kind](provider)
