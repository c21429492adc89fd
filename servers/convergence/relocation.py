"""A server that its provider moved to another node: a fact, which our rows follow."""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Reschedule
from servers import capacity, draining
from servers.convergence.context import NOW, ConvergenceContext
from servers.models import Allocation, Node, Step


def is_moved(ctx: ConvergenceContext) -> bool:
    """Whether the provider says that the server is on another node than ours."""
    return ctx.spec.node_ref is not None and ctx.existing.node_ref not in {None, ctx.spec.node_ref}


def new_node(ctx: ConvergenceContext) -> Node | None:
    """The node where a server that was moved is; None until a sync has seen it, with the server's ports."""
    node = Node.objects.filter(provider_id=ctx.server.blueprint.provider_id, ref=ctx.existing.node_ref).first()
    refs = {address.ref for address in ctx.existing.addresses}
    if node is None or Allocation.objects.filter(node=node, ref__in=refs).count() < len(refs):
        return None
    return node


def follow(ctx: ConvergenceContext, node: Node) -> Reschedule:
    """Move the reservation with its capacity and ports to this node."""
    server = ctx.server
    refs = [address.ref for address in ctx.existing.addresses]
    with tenancy.as_worker():
        note = _("From {old} to {new}, by the provider.").format(old=server.node or "", new=node)
        ctx.record(step=Step.MOVED, note=note, node=node)
        try:
            draining.follow(server=server, node_id=node.pk, refs=refs, at=ctx.at)
        except capacity.NoFreePort as error:
            reason = _("The provider moved this server to a port of another one, and the node has no other.")
            raise outside.Rejected(reason) from error
    return NOW
