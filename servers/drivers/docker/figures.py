"""What a container uses, from the engine's counters. The share of the cpu is what they grew by since our last look."""

import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from servers.drivers.base import PowerState, Usage
from servers.drivers.docker.containers import MIB
from servers.drivers.docker.engine import Engine

REMEMBERED_SECONDS, MAX_REMEMBERED = 120.0, 5000
# By container: when this process last looked, and what the container and its host had used by then.
_samples: dict[str, tuple[float, tuple[int, int]]] = {}
STATES = {"running": PowerState.RUNNING, "restarting": PowerState.STARTING, "paused": PowerState.RUNNING}


def usage_of(engine: Engine, detail: Mapping[str, Any]) -> Usage:
    """The figures of a container that was just looked at; none but its state while it is off."""
    state = STATES.get(str(detail["State"].get("Status")), PowerState.OFF)
    if state is not PowerState.RUNNING:
        return Usage(state, Decimal(0), 0, 0, 0, 0, 0)
    at, earlier = _samples.pop(detail["Id"], (0.0, (0, 0)))
    is_known = time.monotonic() - at < REMEMBERED_SECONDS and at > 0
    # Without an earlier sample the engine takes two of its own, which takes it a second.
    stats = engine.read("stats", lambda client: client.stats(detail["Id"], stream=False, one_shot=is_known))
    now = _cpu(stats.get("cpu_stats"))
    before = earlier if is_known else _cpu(stats.get("precpu_stats"))
    _samples[detail["Id"]] = time.monotonic(), now
    if len(_samples) > MAX_REMEMBERED:
        _samples.clear()
    used, passed = now[0] - before[0], now[1] - before[1]
    cores = (stats.get("cpu_stats") or {}).get("online_cpus") or 1
    networks = (stats.get("networks") or {}).values()
    return Usage(
        power_state=state,
        cpu_percent=round(Decimal(100) * used * cores / passed, 2) if used > 0 and passed > 0 else Decimal(0),
        memory_mib=_memory(stats.get("memory_stats") or {}) // MIB,
        disk_mib=0,  # an engine would have to count all files of all volumes
        received_bytes=sum(int(each.get("rx_bytes", 0)) for each in networks),
        sent_bytes=sum(int(each.get("tx_bytes", 0)) for each in networks),
        uptime_seconds=_seconds(str(detail["State"].get("StartedAt")), str(stats.get("read"))),
    )


def _cpu(stats: Mapping[str, Any] | None) -> tuple[int, int]:
    """What it used and what the host had, in nanoseconds; 0 where the engine has not measured."""
    given = stats or {}
    return int((given.get("cpu_usage") or {}).get("total_usage", 0)), int(given.get("system_cpu_usage", 0))


def _memory(stats: Mapping[str, Any]) -> int:
    """What it needs, without files that are only cached. Control groups of version 1 and 2 name that differently."""
    detail = stats.get("stats") or {}
    return max(0, int(stats.get("usage", 0)) - int(detail.get("total_inactive_file", detail.get("inactive_file", 0))))


def _seconds(since: str, until: str) -> int:
    """The whole seconds between two of the engine's times; 0 where one is missing."""
    try:
        began, ended = (datetime.fromisoformat(each[:19]) for each in (since, until))
    except ValueError:
        return 0
    return max(0, int((ended - began).total_seconds()))
