"""A stand-in for Linode's API v4."""

from sandbox.linode.service import build

__all__ = ["build"]
