"""Pterodactyl panels. Only this package knows the vendor."""

from servers.drivers.pterodactyl.driver import FACTS, connect

__all__ = ["FACTS", "connect"]
