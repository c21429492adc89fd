"""DigitalOcean's droplets. Only this package knows the vendor."""

from servers.drivers.digitalocean.driver import FACTS, DigitalOceanDriver

__all__ = ["FACTS", "DigitalOceanDriver"]
