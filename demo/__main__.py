"""`python -m demo [--once]`: the whole shop on stand-ins, and one server bought; stays up until Ctrl-C."""

import argparse
import signal
import sys
import time
from collections.abc import Callable

import requests

from demo.environment import Environment, locked_environment
from demo.processes import DemoError, ProcessGroup, ServerProcess
from demo.purchase import Purchase, buy
from sandbox.client import READY_WORD, Sandbox, SandboxError

READY_SECONDS = 90
POLL_SECONDS = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PASSWORD = "nodebyte-demo"
LOGINS = {"admin": "admin@nodebyte.test", "customer": "ada@nodebyte.test"}


def main() -> int:
    """Run the demo; 0 after a clean stop, 1 with a reason otherwise."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="stop after the purchase; exit 0 only if it ended in one server"
    )
    options = parser.parse_args()
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with locked_environment() as environment:
            purchase = run(environment, is_once=options.once)
    except (DemoError, SandboxError) as error:
        print(f"DEMO FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    # Last, when all has stopped: scripts read the last line.
    print(f"DEMO OK order={purchase.order_id} paid_to_running={purchase.seconds:.2f}s")
    return 0


def run(environment: Environment, *, is_once: bool) -> Purchase:
    """Start everything, buy, and stay until interrupted or stop; whatever happens, nothing is left running."""
    logs = environment.var / "log"
    processes = ProcessGroup(logs=logs, environment=environment.variables(), mark=str(environment.var))
    left = processes.clear_leftovers()
    if left:
        print(f"Cleared {left} processes that an earlier demo left.")
    try:
        sandbox = start(processes, environment)
        purchase = buy(shop_url=environment.shop_url, sandbox=sandbox, check_processes=processes.check)
        check_panel(sandbox, purchase)
        if not is_once:
            shop = environment.shop_url
            print(f"Sign in as {LOGINS['admin']} (staff) or {LOGINS['customer']} (customer), password {PASSWORD}.")
            print(f"Logs are in {logs}. Ctrl-C stops everything.")
            print(f"READY shop={shop}/ admin={shop}/admin/ sandbox={environment.sandbox_url}/", flush=True)
        while not is_once:
            processes.check()
            time.sleep(0.5)
    finally:
        stop(processes)
    return purchase


def start(processes: ProcessGroup, environment: Environment) -> Sandbox:
    """Start the stand-ins, the database and the shop, migrated and seeded."""
    began_at = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began_at:5.1f} s] {text}", flush=True)

    # The sandbox takes a moment to start, so it goes first and is waited for when it is needed.
    listener = environment.sandbox.fileno()
    sandbox_process = processes.start(
        "sandbox",
        ["-m", "sandbox", "--fd", str(listener), "--state", str(environment.var / "sandbox")],
        pass_fds=[listener],
    )
    say("starting PostgreSQL")
    start_database(processes)
    say("migrating, and collecting static files")
    processes.run("migrate", ["manage.py", "migrate", "--no-input"])
    processes.run("collectstatic", ["manage.py", "collectstatic", "--no-input", "--verbosity", "0"])
    sandbox = wait_until(lambda: running_sandbox(sandbox_process), "the sandbox to be ready", sandbox_process)
    say(f"sandbox at {sandbox.base_url}; seeding the shop from its panel")
    processes.environment |= environment.shop_variables(sandbox)
    keys = sandbox.panel_keys()
    processes.run(
        "seed",
        ["manage.py", "seed", "--demo", "--panel-url", keys["url"]],
        PANEL_APPLICATION_KEY=keys["application"],
        PANEL_CLIENT_KEY=keys["client"],
    )
    sandbox.stripe_endpoint(environment.webhook_url, environment.webhook_secret)
    # For accounts with these codes that staff add, with the keys that the sandbox's pages name.
    sandbox.paypal_settings(webhook_url=f"{environment.shop_url}/webhooks/paypal/")
    sandbox.tripay_settings(callback_url=f"{environment.shop_url}/webhooks/tripay/")
    web = processes.start_web(environment.web)
    processes.start_relay(environment.relay)
    processes.start_worker(environment.var)
    wait_until(lambda: is_ready(environment.shop_url), "the shop to be ready", web)
    say(f"shop at {environment.shop_url}; buying a server")
    return sandbox


def start_database(processes: ProcessGroup) -> None:
    """Start the embedded PostgreSQL, twice if need be: after a kill its old processes take a moment to end."""
    try:
        processes.run("postgres", ["manage.py", "embedded", "start"])
    except DemoError:
        time.sleep(2)
        processes.run("postgres", ["manage.py", "embedded", "start"])


def running_sandbox(process: ServerProcess) -> Sandbox | None:
    """A client of the sandbox, from the line it prints once it is ready; None before that."""
    for line in process.log.read_text().splitlines():
        if line.startswith(f"{READY_WORD} "):
            _, url, smtp = line.split()
            return Sandbox(url, int(smtp.removeprefix("smtp=")))
    return None


def is_ready(shop_url: str) -> bool | None:
    """True when the shop can serve; None before that."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(f"{shop_url}/health/ready", timeout=5).ok or None
        except requests.RequestException:
            return None


def wait_until[T](poll: Callable[[], T | None], what: str, process: ServerProcess) -> T:
    """Poll until there is a result. Raises DemoError when the process ends first, or none comes."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        result = poll()
        if result is not None:
            return result
        process.check()
        time.sleep(POLL_SECONDS)
    raise DemoError(f"waited {READY_SECONDS} s in vain for {what}; see {process.log}")


def check_panel(sandbox: Sandbox, purchase: Purchase) -> None:
    """Raise DemoError unless the purchase ended in exactly one server on the panel."""
    servers = [each for each in sandbox.panel_state()["servers"] if each["external_id"] == purchase.server_id]
    if len(servers) != 1:
        raise DemoError(f"order {purchase.order_id} ended with {len(servers)} servers on the panel instead of one")


def stop(processes: ProcessGroup) -> None:
    """Stop everything that `start` started."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # stopping takes seconds and must not be stopped itself
    processes.stop()
    processes.run("postgres", ["manage.py", "embedded", "stop"])


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
