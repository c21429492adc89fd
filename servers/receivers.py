"""What happens in servers on the signals of lower apps."""

from typing import Any

from allauth.account import signals
from django.dispatch import receiver

from core import clock, tenancy
from servers.convergence import request_convergence
from servers.models import Server, ServerStatus


@receiver(signals.email_changed)
def converge_accounts(user: Any, **_: Any) -> None:
    """The panel's account gets the user's new address with the next round of any of their servers."""
    with tenancy.as_worker():
        servers = Server.objects.filter(owner_id=user.pk).exclude(status=ServerStatus.DELETED)
        request_convergence(server_ids=list(servers.values_list("pk", flat=True)), at=clock.now())
