"""Measuring: how often a second something can be done, and how long it takes.

What is compared takes turns in short slices, so that a moment in which the machine is busy counts for all of it.
"""

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

type Call = Callable[[], object]
type OpenCall = Callable[[], AbstractContextManager[Call]]
WARM_UP = 3
ROUNDS = 4
SLICE_SECONDS = 0.3


def rates(compared: Mapping[str, OpenCall], *, threads: int | Mapping[str, int]) -> dict[str, float]:
    """Calls a second of all threads together, by name: the median of some slices in turn."""
    thread_counts = dict.fromkeys(compared, threads) if isinstance(threads, int) else threads
    found: dict[str, list[float]] = {name: [] for name in compared}
    for _ in range(ROUNDS):
        for name, open_call in compared.items():
            found[name].append(_rate(open_call, thread_counts[name]))
    return {name: statistics.median(slices) for name, slices in found.items()}


def _rate(open_call: OpenCall, threads: int) -> float:
    """Each thread opens its own connection or client first, and then repeats one call."""
    start = threading.Barrier(threads)

    def run(_number: int) -> tuple[int, float, float]:
        with open_call() as call:
            for _ in range(WARM_UP):
                call()
            start.wait()
            begin, done = time.perf_counter(), 0
            while time.perf_counter() - begin < SLICE_SECONDS:
                call()
                done += 1
            return done, begin, time.perf_counter()

    with ThreadPoolExecutor(threads) as pool:
        runs = list(pool.map(run, range(threads)))
    elapsed = max(end for _done, _begin, end in runs) - min(begin for _done, begin, _end in runs)
    return sum(done for done, _begin, _end in runs) / elapsed


def medians_ms(compared: Mapping[str, Call], *, times: int) -> dict[str, float]:
    """Milliseconds of a call, by name: the median of some calls in turn, after a few that do not count."""
    found: dict[str, list[float]] = {name: [] for name in compared}
    for turn in range(WARM_UP + times):
        for name, call in compared.items():
            spent = call_ms(call)
            if turn >= WARM_UP:
                found[name].append(spent)
    return {name: statistics.median(calls) for name, calls in found.items()}


def call_ms(call: Call) -> float:
    """Milliseconds of one call."""
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000
