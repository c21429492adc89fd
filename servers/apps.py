"""servers's Django configuration."""

from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"
    is_nodebyte = True

    def ready(self) -> None:
        """Name the drivers and the handler of the work."""
        from core import work
        from servers import convergence
        from servers.drivers import pterodactyl, registry
        from servers.models import ProviderKind, ProvisioningTask

        registry.register(ProviderKind.PTERODACTYL, pterodactyl.make)
        work.register(ProvisioningTask, convergence.perform)
