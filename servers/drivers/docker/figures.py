"""What a container uses, from the engine's counters. The share of the cpu is what they grew by since our last look."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from servers.drivers.base import PowerState, Usage
from servers.drivers.docker.containers import MIB
from servers.drivers.docker.engine import Engine

LATELY, MAX_REMEMBERED = timedelta(minutes=2), 5000
# By container: when this process last looked, by the engine's clock, and what the container had used by then.
_samples: dict[str, tuple[datetime, int]] = {}
STATES = {"running": PowerState.RUNNING, "restarting": PowerState.STARTING, "paused": PowerState.RUNNING}


def usage_of(engine: Engine, detail: Mapping[str, Any]) -> Usage:
    """The figures of a container that was just looked at; none but its state while it is off."""
    state = STATES.get(str(detail["State"].get("Status")), PowerState.OFF)
    if state is not PowerState.RUNNING:
        return Usage(state, Decimal(0), 0, 0, 0, 0, 0)
    container, started_at = str(detail["Id"]), _time(detail["State"].get("StartedAt"))
    since, before = max((started_at, 0), _samples.pop(container, (started_at, 0)))  # a start begins at nothing again
    stats = engine.read("stats", lambda client: client.stats(container, stream=False, one_shot=True))
    if _time(stats.get("read")) - since > LATELY:  # the engine takes two samples of its own, which takes it a second
        stats = engine.read("stats", lambda client: client.stats(container, stream=False))
        since, before = _time(stats.get("preread")), _used(stats.get("precpu_stats"))
    read_at, used = _time(stats.get("read")), _used(stats.get("cpu_stats"))
    _samples[container] = read_at, used
    if len(_samples) > MAX_REMEMBERED:
        _samples.clear()
    microseconds = (read_at - since) // timedelta(microseconds=1)
    networks = (stats.get("networks") or {}).values()
    return Usage(
        power_state=state,
        cpu_percent=round(Decimal(max(0, used - before)) / (10 * max(1, microseconds)), 2),
        memory_mib=_memory(stats.get("memory_stats") or {}) // MIB,
        disk_mib=0,  # an engine would have to count all files of all volumes
        received_bytes=sum(int(each.get("rx_bytes", 0)) for each in networks),
        sent_bytes=sum(int(each.get("tx_bytes", 0)) for each in networks),
        uptime_seconds=max(0, int((read_at - started_at).total_seconds())),
    )


def _used(stats: Mapping[str, Any] | None) -> int:
    """The time on the processors, in nanoseconds; 0 where the engine has not measured."""
    return int(((stats or {}).get("cpu_usage") or {}).get("total_usage", 0))


def _memory(stats: Mapping[str, Any]) -> int:
    """What it needs, without files that are only cached. Control groups of version 1 and 2 name that differently."""
    detail = stats.get("stats") or {}
    return max(0, int(stats.get("usage", 0)) - int(detail.get("total_inactive_file", detail.get("inactive_file", 0))))


def _time(text: object) -> datetime:
    """One of the engine's times; long ago where it is missing."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
