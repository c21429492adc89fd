"""Which driver serves which kind of provider."""

from collections.abc import Callable

from servers.drivers import base
from servers.models import Provider

type Make = Callable[[Provider], base.Provider]
_makers: dict[str, Make] = {}


def register(kind: str, make: Make) -> None:
    """Name the driver of a kind; called from AppConfig.ready()."""
    _makers[kind] = make


def driver_of(provider: Provider) -> base.Provider:
    """The driver for a provider's row, with its address and credentials. LookupError for a kind without a driver."""
    if provider.kind not in _makers:
        raise LookupError(f"no driver for providers of kind {provider.kind}")
    return _makers[provider.kind](provider)
