"""A server that another organization has from now on, with every row that belongs to it."""

from datetime import datetime
from typing import Any

from django.db.models import F, Q

from accounts.models import Organization, User
from core import tenancy
from core.models import WorkState
from servers.convergence.scheduling import request_convergence
from servers.models import Operation, PowerTask, Reservation, Server, ServerAccess


def hand_over(*, server: Server, organization: Organization, owner: User, at: datetime) -> None:
    """Give the locked server to the organization; its owner's account on the panel gets it by convergence, which also
    ends what those before could do there (`servers.convergence.handing_over`).

    Who had access to it as a plain member no longer has, and what they sent and were given is forgotten. The keys that
    hold its rows together are checked at the end of the transaction; a worker that writes for the organization before
    fails there, and tries again.
    """
    with tenancy.within_worker():
        ServerAccess.objects.filter(server=server).delete()
        Operation.objects.filter(server=server).update(content=None, result=None)
        for model in rows_of_servers():
            model._default_manager.filter(server=server).update(organization=organization)
        held = Q(pk=server.reservation_id) | Q(extends=server.reservation_id) | Q(server_move__server=server)
        ids = Reservation.objects.filter(held).values_list("pk", flat=True)
        Reservation.objects.filter(pk__in=list(ids)).update(organization=organization)
        Server.objects.filter(pk=server.pk).update(
            organization=organization,
            owner=owner,
            build=without_keys(server.build),
            root_password=None,
            generation=F("generation") + 1,
            handover={},
        )
        request_convergence(server_ids=[server.pk], at=at)


def without_keys(build: Any) -> Any:
    """What a server is built from, without the SSH keys of those who ordered it."""
    return {**build, "ssh_keys": []} if build and "ssh_keys" in build else build


def is_anything_under_way(server: Server) -> bool:
    """Whether a worker has yet to do what somebody asked of the server, such as a power action or a backup."""
    return any(
        model._default_manager.filter(server=server, state__in=[WorkState.QUEUED, WorkState.RUNNING]).exists()
        for model in (Operation, PowerTask)
    )


def rows_of_servers() -> list[Any]:
    """The tables of this app whose rows belong to a server and its organization, but for who has access to it."""
    related = [each.related_model for each in Server._meta.related_objects if each.field.name == "server"]
    ours = [model for model in related if model._meta.app_label == Server._meta.app_label]
    return [model for model in ours if hasattr(model, "organization_id") and model is not ServerAccess]
