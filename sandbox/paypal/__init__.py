"""The PayPal stand-in: Orders v2, payments, disputes and webhooks, as its contract describes them."""

from sandbox.paypal.service import build

__all__ = ["build"]
