"""The Django configuration of servers."""

from django.apps import AppConfig


class ServersConfig(AppConfig):
    name = "servers"
    is_nodebyte = True

    def ready(self) -> None:
        """Register the drivers and the handlers of the work tables."""
        from core import work
        from servers import convergence, findings, receivers, settings  # noqa: F401 - connects receivers, registers settings
        from servers.drivers import digitalocean, docker, linode, pterodactyl, registry, virtfusion
        from servers.hytale import sessions, sign_in
        from servers.live import power, usage
        from servers.models import (
            HytaleSession,
            HytaleSignIn,
            Listing,
            Operation,
            PowerTask,
            ProvisioningTask,
            RemoteDeletion,
            UsageTask,
        )
        from servers.self_service import operations

        registry.register("linode", linode.LinodeDriver, linode.FACTS)
        registry.register("pterodactyl", pterodactyl.connect, pterodactyl.FACTS)
        registry.register("virtfusion", virtfusion.VirtFusionDriver, virtfusion.FACTS)
        registry.register("digitalocean", digitalocean.DigitalOceanDriver, digitalocean.FACTS)
        registry.register("docker", docker.DockerDriver, docker.FACTS)
        work.register(ProvisioningTask, convergence.perform)
        work.register(RemoteDeletion, findings.perform_deletion)
        work.register(PowerTask, power.perform)
        work.register(UsageTask, usage.sample)
        work.register(Listing, operations.read)
        work.register(Operation, operations.perform)
        work.register(HytaleSignIn, sign_in.poll)
        work.register(HytaleSession, sessions.review)
