"""The stand-in of Hytale's account and session services, as the contract describes them."""

from sandbox.hytale.service import build

__all__ = ["build"]
