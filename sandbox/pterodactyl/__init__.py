"""A stand-in for a Pterodactyl panel 1.11.8 and its nodes."""

from sandbox.pterodactyl.service import build

__all__ = ["build"]
