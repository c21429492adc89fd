"""VirtFusion control servers. Only this package knows the vendor."""

from servers.drivers.virtfusion.driver import FACTS, VirtFusionDriver

__all__ = ["FACTS", "VirtFusionDriver"]
