"""A server that its provider moved to another node: a fact, which our rows follow."""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Reschedule
from servers import capacity
from servers.convergence.context import NOW, SOON, ConvergenceContext
from servers.locks import advisory_lock
from servers.models import Node, Step


def is_moved(ctx: ConvergenceContext) -> bool:
    """Whether the provider says that the server is on another node than ours."""
    return ctx.spec.node_ref is not None and ctx.existing.node_ref not in {None, ctx.spec.node_ref}


def follow(ctx: ConvergenceContext) -> Reschedule:
    """Move the reservation with its capacity and ports. Unavailable until a sync has seen the new node and ports."""
    server, provider_id = ctx.server, ctx.server.blueprint.provider_id
    refs = [address.ref for address in ctx.existing.addresses]
    with advisory_lock(f"sync:{provider_id}") as is_locked:  # a sync locks a provider's nodes in an order of its own
        if not is_locked:
            return SOON
        with tenancy.as_worker():
            node = Node.objects.filter(provider_id=provider_id, ref=ctx.existing.node_ref).first()
            if node is None:
                raise outside.Unavailable("the server was moved to a node that no sync has seen yet")
            note = _("From {old} to {new}, by the provider.").format(old=server.node or "", new=node)
            ctx.record(step=Step.MOVED, note=note, node=node)
            try:
                if server.reservation_id is not None:
                    capacity.move(reservation_id=server.reservation_id, node_id=node.pk, refs=refs)
            except capacity.UnknownPort:
                raise outside.Unavailable("the server was moved to ports that no sync has seen yet") from None
            except capacity.NoFreePort as error:
                reason = _("The provider moved this server to a port of another one, and the node has no other.")
                raise outside.Rejected(reason) from error
    return NOW
