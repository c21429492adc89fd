"""The Django configuration of servers."""

from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"
    is_nodebyte = True

    def ready(self) -> None:
        """Register the drivers and the handler of provisioning tasks."""
        from core import work
        from servers import convergence
        from servers.drivers import pterodactyl, registry
        from servers.models import ProvisioningTask

        registry.register("pterodactyl", pterodactyl.connect, pterodactyl.FACTS)
        work.register(ProvisioningTask, convergence.perform)
