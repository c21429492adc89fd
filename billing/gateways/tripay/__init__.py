"""Tripay: closed payments in rupiah."""

from billing.gateways.tripay.driver import TripayDriver

__all__ = ["TripayDriver"]
