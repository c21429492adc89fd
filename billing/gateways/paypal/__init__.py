"""PayPal: Orders v2."""

from billing.gateways.paypal.driver import PayPalDriver

__all__ = ["PayPalDriver"]
