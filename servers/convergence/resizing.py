"""A server whose provider has its new size: it is told above, and what is no longer used goes back to its node."""

from core import tenancy
from servers import capacity, events
from servers.capacity import Size
from servers.convergence.context import ConvergenceContext
from servers.models import Server, Step


def finish(ctx: ConvergenceContext) -> None:
    """Record that the size that was read for this round is the provider's. A later request goes on by itself."""
    server = ctx.server
    with tenancy.as_worker():
        is_present = Server.objects.filter(pk=server.pk, resize_asked_at=server.resize_asked_at)
        if not is_present.exists():
            return
        # The signal first: receivers lock their own rows, and then the server is locked.
        ctx.record(step=Step.RESIZED, event=events.servers_resized, resize_asked_at=None)
        if server.reservation_id is not None:
            size = Size(server.memory_mib, server.disk_mib, server.cpu_percent, server.ports_limit)
            capacity.shrink(reservation_id=server.reservation_id, size=size)
