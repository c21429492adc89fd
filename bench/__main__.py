"""`python -m bench [name …]`: measure everything, or only what is named."""

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.environment import bench_environment
from bench.report import table

BENCHES = {
    "webhooks": "Webhooks",
    "pages": "Pages",
    "web": "Pages through the web server",
    "isolation": "What the customers' own login and the signed binding cost a page",
    "purchase": "From paid to running, beyond the panel's own time",
    "settlements": "Payments settled at the same time",
    "renew": "A run that renews subscriptions",
    "meter": "A run that charges hours",
    "work": "Durable work, ledger, capacity",
    "sync": "A large panel's inventory",
    "converge": "Servers converged by eight workers",
    "lanes": "Claims beside a full lane",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benches and print a table of each."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHES)}; none means all")
    names = parser.parse_args(arguments).names or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench is named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    with bench_environment() as environment:
        logging.disable(logging.ERROR)  # every request logs a line, and a terminal is slower than the shop
        for name in names:
            began_at, load = time.monotonic(), os.getloadavg()[0]
            # Imported only now: models need Django set up on this run's database.
            rows = importlib.import_module(f"bench.{name}").measure(environment)
            print(table(BENCHES[name], rows))
            seconds, loads = time.monotonic() - began_at, f"load {load:.1f} to {os.getloadavg()[0]:.1f}"
            print(f"({name}: {seconds:.0f} s, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {loads})\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
