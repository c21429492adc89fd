"""Measuring: how often a second something can be done, and how long it takes.

What is compared takes turns in short slices: a machine that is busy for a moment is then busy for all of it.
"""

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

type Once = Callable[[], object]
type Opened = Callable[[], AbstractContextManager[Once]]
WARM_UP = 3
ROUNDS = 4
SLICE_SECONDS = 0.3


def rates(compared: Mapping[str, Opened], *, threads: int | Mapping[str, int]) -> dict[str, float]:
    """Calls a second of all threads together, by name: the median of some slices in turn."""
    crowds = dict.fromkeys(compared, threads) if isinstance(threads, int) else threads
    found: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(ROUNDS):
        for name, opened in compared.items():
            found[name].append(_rate(opened, crowds[name]))
    return {name: statistics.median(slices) for name, slices in found.items()}


def _rate(opened: Opened, threads: int) -> float:
    """Each thread opens its own means first and then repeats one call."""
    start = threading.Barrier(threads)

    def run(_number: int) -> tuple[int, float, float]:
        with opened() as once:
            for _ in range(WARM_UP):
                once()
            start.wait()
            return _repeat(once)

    with ThreadPoolExecutor(threads) as pool:
        runs = list(pool.map(run, range(threads)))
    elapsed = max(end for _done, _begin, end in runs) - min(begin for _done, begin, _end in runs)
    return sum(done for done, _begin, _end in runs) / elapsed


def _repeat(once: Once) -> tuple[int, float, float]:
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < SLICE_SECONDS:
        once()
        done += 1
    return done, begin, time.perf_counter()


def medians_ms(compared: Mapping[str, Once], *, times: int) -> dict[str, float]:
    """Milliseconds of a call, by name: the median of some calls in turn, after a few that do not count."""
    found: dict[str, list[float]] = {name: [] for name in compared}
    for turn in range(WARM_UP + times):
        for name, once in compared.items():
            spent = _ms(once)
            if turn >= WARM_UP:
                found[name].append(spent)
    return {name: statistics.median(calls) for name, calls in found.items()}


def _ms(once: Once) -> float:
    begin = time.perf_counter()
    once()
    return (time.perf_counter() - begin) * 1000
