"""The ways to be paid: one package for each gateway, all behind one protocol."""

from billing.gateways import stripe
from billing.gateways.base import Driver
from billing.models import Gateway

_DRIVERS: dict[str, Driver] = {Gateway.STRIPE: stripe.DRIVER}


def driver_of(gateway: str) -> Driver:
    """The driver behind a gateway's name."""
    return _DRIVERS[gateway]
