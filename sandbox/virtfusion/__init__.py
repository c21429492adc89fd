"""The VirtFusion stand-in: the admin API of one control server, as its contract describes it."""

from sandbox.virtfusion.service import build

__all__ = ["build"]
