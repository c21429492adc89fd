"""Pterodactyl panels. Only this package knows the vendor."""

from servers.drivers.pterodactyl.driver import PterodactylDriver

__all__ = ["PterodactylDriver"]
