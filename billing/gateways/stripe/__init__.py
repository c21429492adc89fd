"""Stripe, the only package that knows its library."""

from billing.gateways.stripe.driver import StripeDriver

__all__ = ["StripeDriver"]
