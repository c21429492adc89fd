"""Pterodactyl panels. Only this package knows the vendor."""

from servers.drivers.pterodactyl.driver import Pterodactyl, make

__all__ = ["Pterodactyl", "make"]
