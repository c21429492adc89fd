"""Linode, Akamai's cloud. Only this package knows the vendor."""

from servers.drivers.linode.driver import FACTS, LinodeDriver

__all__ = ["FACTS", "LinodeDriver"]
