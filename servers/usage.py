"""What a server uses now, asked of its panel and remembered for a moment."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal

from django.core.cache import cache

from core import outside, tenancy
from servers.drivers import registry
from servers.drivers.base import Capability, Usage
from servers.drivers.guard import refuse_transaction
from servers.models import Provider, Server

log = logging.getLogger(__name__)
REMEMBERED_SECONDS = 10
SAMPLES_SECONDS = 900
MAX_SAMPLES = 60
NOTHING = "nothing"
type Sample = tuple[Decimal, int]


@dataclass(frozen=True)
class Figures(Usage):
    """Usage at an instant, and how cpu percent and memory MiB went over the last minutes (`cpu`, `memory`)."""

    at: datetime
    samples: Mapping[str, Sequence[Decimal | int]] = field(default_factory=dict)


def usage_of(server: Server, at: datetime) -> Figures | None:
    """The server's figures, at most 10 s old; None where nobody can tell them now. Never inside a transaction."""
    refuse_transaction()
    found = cache.get(cache_key(server))
    if found is None:
        found = _asked(server, at) or NOTHING
        cache.set(cache_key(server), found, REMEMBERED_SECONDS)
    return found if isinstance(found, Figures) else None


def cache_key(server: Server) -> str:
    """Where the figures are remembered."""
    return f"servers:usage:{server.pk}"


def _asked(server: Server, at: datetime) -> Figures | None:
    with tenancy.as_worker():
        provider = Provider.objects.filter(blueprints__servers=server.pk).first()
    driver = registry.driver_of(provider) if provider else None
    if driver is None or not server.identifier or Capability.USAGE not in driver.capabilities:
        return None
    try:
        usage = driver.usage(server.identifier)
    except outside.OutsideError as error:
        log.info("no figures of %s: %s", server.pk, error)
        return None
    values = {each.name: getattr(usage, each.name) for each in fields(Usage)}
    return Figures(**values, at=at, samples=_sampled(server, (usage.cpu_percent, usage.memory_mib)))


def _sampled(server: Server, sample: Sample) -> dict[str, list[Decimal | int]]:
    """The last figures with this one. Two askers at once may lose one, which a line on a page survives."""
    key = f"servers:samples:{server.pk}"
    samples: list[Sample] = [*cache.get(key, []), sample][-MAX_SAMPLES:]
    cache.set(key, samples, SAMPLES_SECONDS)
    return {"cpu": [cpu for cpu, _memory in samples], "memory": [memory for _cpu, memory in samples]}
