"""Whether a provider's lists are those of the provider that has our servers, before anything is merged from them.

Another panel has the same small numbers: its nodes, ports and eggs would become ours.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from core import outside, tenancy
from servers import suspicion
from servers.models import Provider

# Servers that ran before the lists were read, and those that are in no list by their number nor by their ID.
MISSING = """
    SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (
        SELECT FROM sync_servers AS staged WHERE staged.ref = server.ref OR staged.server_id = server.id))
    FROM servers_server AS server JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
    WHERE blueprint.provider_id = %s AND server.desired_state = 'present' AND server.ref <> ''
        AND server.running_at < %s AND (server.vanished_at IS NULL OR server.vanished_at > %s)"""


def require_trusted(provider: Provider, lists: Sequence[str], *, at: datetime) -> None:
    """Raise Unavailable where the staged lists miss many of our servers, or where they cannot tell and others did."""
    accepted = provider.missing_accepted_until
    if accepted is not None and at < accepted:
        return
    if "servers" not in lists:
        is_trusted = provider.suspected_at is None
    else:
        with tenancy.as_worker(), connection.cursor() as cursor:
            cursor.execute(MISSING, [provider.pk, at, max(filter(None, (at - suspicion.LATELY, accepted)))])
            count, missing = cursor.fetchone()
        is_trusted = suspicion.is_trusted_after(provider, asked=count, missing=missing, at=at)
    if not is_trusted:
        raise outside.Unavailable("it misses many of our servers, so nothing was taken over from it")
