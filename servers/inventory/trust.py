"""Whether a provider's lists are those of the provider that has our servers, before anything is merged from them.

Panels number their rows from 1, so another panel's nodes, ports and eggs would be taken for ours.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from core import outside, tenancy
from servers import suspicion
from servers.models import Provider

# How many servers ran before the lists were read, and how many of them are in no list by their number or by our ID.
# Those that were found gone before the second time do not count.
MISSING = """
    SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (
        SELECT FROM sync_servers AS staged WHERE staged.ref = server.ref OR staged.server_id = server.id))
    FROM servers_server AS server JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
    WHERE blueprint.provider_id = %s AND server.desired_state = 'present' AND server.ref <> ''
        AND server.running_at < %s AND (server.vanished_at IS NULL OR server.vanished_at > %s)"""
# Of the nodes that were there before, how many have their number and name.
KNOWN_NODES = """
    SELECT count(*), count(staged.ref) FROM servers_node AS node
    LEFT JOIN sync_nodes AS staged ON staged.ref = node.ref AND staged.name = node.name
    WHERE node.provider_id = %s AND node.is_present"""


def require_trusted(provider: Provider, lists: Sequence[str], *, at: datetime) -> None:
    """Raise Unavailable where the staged lists miss more of our servers than `servers.suspicion` allows.

    Lists without servers cannot tell: then it is raised while the provider is suspected. It is never raised within the
    hour for which staff accepted what is missing.
    """
    accepted = provider.missing_accepted_until
    if accepted is not None and at < accepted:
        return
    if "servers" not in lists:
        is_trusted = provider.suspected_at is None
    else:
        with tenancy.as_worker(), connection.cursor() as cursor:
            cursor.execute(MISSING, [provider.pk, at, max(filter(None, (at - suspicion.LATELY, accepted)))])
            count, missing = cursor.fetchone()
            is_another = False
            if missing == count > 0 and "nodes" in lists:  # the absence of an only server proves nothing by itself
                cursor.execute(KNOWN_NODES, [provider.pk])
                nodes, known = cursor.fetchone()
                is_another = nodes > 0 and known == 0
        is_trusted = suspicion.update_trust(provider, asked=count, missing=missing, is_another=is_another, at=at)
    if not is_trusted:
        raise outside.Unavailable("it misses many of our servers, so nothing was taken over from it")
