"""What customers changed at a provider, in our own rows, so that a server which is created again has it too."""

from datetime import datetime

from servers.convergence.scheduling import request_convergence
from servers.models import Server, ServerStatus, ServerVariable


def keep_variable(server: Server, env_variable: str, value: str, *, at: datetime) -> None:
    """The customer's value of an egg's variable."""
    chosen = {"organization_id": server.organization_id, "value": value, "is_set_by_staff": False, "updated_at": at}
    ServerVariable.objects.update_or_create(server=server, env_variable=env_variable, defaults=chosen)


def keep_image(server: Server, image: str, *, at: datetime) -> None:
    """The image of the egg that the customer chose."""
    Server.objects.filter(pk=server.pk).update(build={**server.build, "image": image}, updated_at=at)


def follow_install(server: Server, *, at: datetime) -> None:
    """Convergence follows the installation to its end and starts the server then."""
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.INSTALLING, install_deadline_at=None, updated_at=at)
    request_convergence(server_ids=[server.pk], at=at)


def keep_root_password(server: Server, password: str) -> None:
    """What root's password is now, until its customer has seen it."""
    Server.objects.filter(pk=server.pk).update(root_password=password)
