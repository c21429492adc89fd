"""What a server uses now, asked of its panel and cached for some seconds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal

from django.core.cache import cache

from core import outside, tenancy
from core.outside import refuse_transaction
from servers.drivers import registry
from servers.drivers.abilities import UsageFigures
from servers.drivers.base import Usage
from servers.models import Provider, Server

log = logging.getLogger(__name__)
CACHE_SECONDS = 10
HISTORY_SECONDS = 900
MAX_SAMPLES = 60
NOTHING = "nothing"
type Sample = tuple[Decimal, int]


@dataclass(frozen=True)
class LiveUsage(Usage):
    """Usage, with samples of the last minutes: `cpu` in percent, `memory` in MiB."""

    samples: Mapping[str, Sequence[Decimal | int]] = field(default_factory=dict)


def usage_of(server: Server) -> LiveUsage | None:
    """The server's usage, at most 10 s old; None where it is not known now. Never inside a transaction."""
    refuse_transaction("a provider")
    cached = cache.get(cache_key(server))
    if cached is None:
        cached = _read(server) or NOTHING
        cache.set(cache_key(server), cached, CACHE_SECONDS)
    return cached if isinstance(cached, LiveUsage) else None


def cache_key(server: Server) -> str:
    """Where the usage is cached."""
    return f"servers:usage:{server.pk}"


def _read(server: Server) -> LiveUsage | None:
    """Ask the driver, and add the answer to the samples."""
    with tenancy.as_worker():
        provider = Provider.objects.filter(blueprints__servers=server.pk).first()
    if provider is None or not server.identifier:
        return None
    driver = registry.driver_of(provider)
    if not isinstance(driver, UsageFigures):
        return None
    try:
        usage = driver.usage(server.identifier)
    except outside.OutsideError as error:
        log.info("no usage of %s: %s", server.pk, error)
        return None
    # Two requests at once may lose a sample, which does not matter to the line on a page.
    key = f"servers:samples:{server.pk}"
    samples: list[Sample] = [*cache.get(key, []), (usage.cpu_percent, usage.memory_mib)][-MAX_SAMPLES:]
    cache.set(key, samples, HISTORY_SECONDS)
    history: dict[str, list[Decimal | int]] = {
        "cpu": [cpu for cpu, _memory in samples],
        "memory": [memory for _cpu, memory in samples],
    }
    values = {each.name: getattr(usage, each.name) for each in fields(Usage)}
    return LiveUsage(**values, samples=history)
