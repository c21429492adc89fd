"""Power and figures, by way of a panel's client API and the root admin's client key."""

import re
from decimal import Decimal

from core import outside
from servers.drivers.base import Power, Signal, Usage
from servers.drivers.pterodactyl.client import PanelClient

MIB = 1024 * 1024
POWERS = {"offline": Power.OFF, "stopped": Power.OFF}
POWERS |= {"starting": Power.STARTING, "running": Power.RUNNING, "stopping": Power.STOPPING}
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def press(panel: PanelClient, identifier: str, signal: Signal) -> None:
    """Send a power signal. The panel answers before the node has acted."""
    panel.tell_client(f"/servers/{_path(identifier)}/power", {"signal": signal.value})


def usage(panel: PanelClient, identifier: str) -> Usage:
    """What the server uses; the panel keeps the figures for 20 s."""
    attributes = panel.ask_client(f"/servers/{_path(identifier)}/resources")["attributes"]
    used = attributes["resources"]
    if attributes["current_state"] not in POWERS:
        raise outside.Unavailable(f"a server's power is {attributes['current_state']!r}, which is not understood")
    return Usage(
        power=POWERS[attributes["current_state"]],
        cpu_percent=Decimal(used["cpu_absolute"]),
        memory_mib=int(used["memory_bytes"]) // MIB,
        disk_mib=int(used["disk_bytes"]) // MIB,
        received_bytes=int(used["network_rx_bytes"]),
        sent_bytes=int(used["network_tx_bytes"]),
        uptime_seconds=int(used["uptime"]) // 1000,
    )


def _path(identifier: str) -> str:
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError("a server's identifier is letters, digits and dashes")
    return identifier
