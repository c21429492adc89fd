"""Everything that customers do inside their servers at a panel."""

from servers.drivers.pterodactyl.console import PanelConsole
from servers.drivers.pterodactyl.databases import PanelDatabases
from servers.drivers.pterodactyl.files import PanelFiles
from servers.drivers.pterodactyl.network import PanelNetwork
from servers.drivers.pterodactyl.schedules import PanelSchedules
from servers.drivers.pterodactyl.self_service import PanelBackups
from servers.drivers.pterodactyl.settings import PanelSettings
from servers.drivers.pterodactyl.startup import PanelStartup
from servers.drivers.pterodactyl.subusers import PanelSubusers


class PanelSections(
    PanelBackups,
    PanelDatabases,
    PanelStartup,
    PanelSchedules,
    PanelNetwork,
    PanelSettings,
    PanelFiles,
    PanelConsole,
    PanelSubusers,
):
    """By the client API, so only with a client key."""
