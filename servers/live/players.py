"""Which game servers are asked for their players, at which of their ports, and how customers join them."""

import time
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from django.conf import settings

from servers import builds
from servers.live import game_query
from servers.live.game_query import Players
from servers.models import Allocation, Egg, QueryProtocol, Server, UsageTask

# One that does not answer costs two seconds whenever it is asked, in a lane that power actions of its whole node use.
# One that answers slowly costs nearly as much, and would be asked with each sample: it is asked as seldom.
SILENT_WATCHED, SILENT_UNWATCHED = timedelta(minutes=1), timedelta(hours=6)
SLOW_SECONDS = 0.5
BEDROCK_WORDS = ("bedrock", "nukkit", "pocketmine", "gomint")


def players_of(server: Server, task: UsageTask, *, is_watched: bool, at: datetime) -> Players | None:
    """Who plays on a server that runs; None where its game is not asked, or does not say. Takes two seconds at most."""
    protocol = QueryProtocol(server.blueprint.query_protocol)
    pause = SILENT_WATCHED if is_watched else SILENT_UNWATCHED
    if protocol == QueryProtocol.NONE or (task.game_silent_at and at < task.game_silent_at + pause):
        return None
    address = _address(server)
    began = time.monotonic()
    found = game_query.ask(protocol, *address) if address else None
    is_fast = found is not None and time.monotonic() - began <= SLOW_SECONDS
    if not is_fast or task.game_silent_at:
        UsageTask.objects.filter(pk=task.pk).update(game_silent_at=None if is_fast else at)
    return found


def _address(server: Server) -> tuple[str, int] | None:
    """Where the server's game is asked: always one of the server's own ports, whatever its settings say."""
    if settings.GAME_STAND_IN:
        stand_in = urlsplit(settings.GAME_STAND_IN)
        return str(stand_in.hostname), int(stand_in.port or 0)
    ports = list(Allocation.objects.filter(reservation=server.reservation_id).order_by("-is_primary"))
    if server.reservation_id is None or not ports:
        return None
    main, named = ports[0], server.blueprint.query_port
    port = str(main.port)
    if named.startswith("+"):
        port = str(main.port + int(named))
    elif named:
        port = builds.environment_of(server).values.get(named, "")
    return next(((each.ip, each.port) for each in ports if each.ip == main.ip and str(each.port) == port), None)


def suggested_query(egg: Egg) -> tuple[QueryProtocol, str]:
    """The protocol and the query port that the names in an egg speak for. Who knows better chooses others."""
    variables = list(egg.variables.filter(is_present=True).values_list("env_variable", "name"))
    words = " ".join([egg.name, egg.nest.name, *(text for each in variables for text in each)]).lower()
    names = [name for name, _label in variables]
    if any(word in words for word in BEDROCK_WORDS):
        return QueryProtocol.MINECRAFT_BEDROCK, ""
    if "minecraft" in words or "SERVER_JARFILE" in names:
        return QueryProtocol.MINECRAFT_JAVA, ""
    query_port = next((name for name in names if name.endswith("QUERY_PORT")), "")
    if query_port or "SRCDS_APPID" in names:
        return QueryProtocol.SOURCE, query_port
    return QueryProtocol.NONE, ""


def join_link(server: Server, protocol: str, query_port: str) -> str:
    """The address that opens the game on the player's machine and joins; empty where no client has such addresses.

    Steam looks at the query port, so there is none where that is another than the one shown.
    """
    host = quote(server.address, safe="[]:")
    if not host or query_port:
        return ""
    if protocol == QueryProtocol.SOURCE:
        return f"steam://connect/{host}"
    if protocol == QueryProtocol.MINECRAFT_BEDROCK:
        return f"minecraft://?addExternalServer={quote(server.name, safe='')}|{host}"
    return ""
