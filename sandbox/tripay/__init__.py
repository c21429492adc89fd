"""The Tripay stand-in: closed payments, as its contract describes them."""

from sandbox.tripay.service import build

__all__ = ["build"]
