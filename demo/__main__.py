"""`python -m demo [--once]`: the whole shop on stand-ins, and one server bought; stays up until Ctrl-C."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import requests

from demo.crew import Crew, Failed, Member
from demo.places import HOST, Places, places
from demo.purchase import Bought, buy
from sandbox.client import READY_WORD, Sandbox, SandboxError

READY_SECONDS = 90
LOOK_SECONDS = 0.1
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PASSWORD = "nodebyte-demo"
LOGINS = {"admin": "admin@nodebyte.test", "customer": "ada@nodebyte.test"}


def main() -> int:
    """Run the demo; 0 after a clean stop, 1 with a reason otherwise."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="stop after the purchase; exit 0 only if it ended in one server"
    )
    options = parser.parse_args()
    for number in ENDING:
        signal.signal(number, _interrupt)
    try:
        with places() as found:
            bought = run(found, is_once=options.once)
    except (Failed, SandboxError) as error:
        print(f"DEMO FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    print(f"DEMO OK order={bought.order} paid_to_running={bought.seconds:.2f}s")  # last: all has stopped, too
    return 0


def run(found: Places, *, is_once: bool) -> Bought:
    """Start everything, buy, and stay until interrupted or stop; whatever happens, nothing is left running."""
    crew = Crew(logs=found.var / "log", environment=found.environment(), mark=str(found.var))
    left = crew.clear_leftovers()
    if left:
        print(f"Cleared {left} processes that an earlier demo left.")
    found.forget_nudges()
    try:
        sandbox = _start(crew, found)
        bought = buy(shop=found.shop, sandbox=sandbox, watch=crew.check)
        _check_panel(sandbox, bought)
        if not is_once:
            _stay(crew, found)
    finally:
        _stop(crew, found)
    return bought


def _start(crew: Crew, found: Places) -> Sandbox:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    process = _start_sandbox(crew, found)
    _start_database(crew, found, say)
    say("migrating, and collecting static files")
    crew.run("migrate", ["manage.py", "migrate", "--no-input"])
    crew.run("collectstatic", ["manage.py", "collectstatic", "--no-input", "--verbosity", "0"])
    sandbox = _until(lambda: _announced(process), "the sandbox to be ready", process)
    say(f"sandbox at {sandbox.base_url}; seeding the shop from its panel")
    crew.environment |= found.shop_environment(sandbox)
    _seed(crew, sandbox)
    sandbox.stripe_endpoint(found.webhook_url, found.webhook_secret)
    _start_shop(crew, found)
    say(f"shop at {found.shop}; buying a server")
    return sandbox


def _start_sandbox(crew: Crew, found: Places) -> Member:
    where = ["--host", HOST, "--port", str(found.sandbox_port), "--state", str(found.var / "sandbox")]
    return crew.start("sandbox", ["-m", "sandbox", *where])


def _announced(process: Member) -> Sandbox | None:
    """From the line the sandbox prints once it is ready; None before that."""
    for line in process.log.read_text().splitlines():
        if line.startswith(f"{READY_WORD} "):
            _, url, smtp = line.split()
            return Sandbox(url, int(smtp.removeprefix("smtp=")))
    return None


def _seed(crew: Crew, sandbox: Sandbox) -> None:
    keys = sandbox.panel_keys()
    crew.run(
        "seed",
        ["manage.py", "seed", "--demo", "--panel-url", keys["url"]],
        PANEL_APPLICATION_KEY=keys["application"],
        PANEL_CLIENT_KEY=keys["client"],
    )


def _start_database(crew: Crew, found: Places, say: Callable[[str], None]) -> None:
    if os.environ.get("DATABASE_URL"):
        say("using the database in DATABASE_URL: demo logins and orders will be written there")
        return
    say("starting PostgreSQL")
    try:
        crew.run("postgres", ["-m", "core.embedded", "start", str(found.var)])
    except Failed:  # after a kill its old processes may need a moment to see that their parent is gone
        time.sleep(2)
        crew.run("postgres", ["-m", "core.embedded", "start", str(found.var)])


def _start_shop(crew: Crew, found: Places) -> None:
    bind = f"{HOST}:{found.web_port}"
    how = ["--bind", bind, "--workers", "2", "--timeout", "60", "--no-control-socket"]  # that would be in HOME
    web = crew.start("web", ["-m", "gunicorn", "nodebyte.wsgi", *how])
    beat = str(found.var / "celerybeat-schedule")
    crew.start(
        "worker",
        ["-m", "celery", "-A", "nodebyte", "worker", "-B", "-s", beat, "--concurrency", "2", "--loglevel", "INFO"],
    )
    _until(lambda: True if _is_ready(found) else None, "the shop to be ready", web)


def _is_ready(found: Places) -> bool:
    session = requests.Session()
    session.trust_env = False
    try:
        return session.get(f"{found.shop}/health/ready", timeout=5).ok
    except requests.RequestException:
        return False


def _until[T](look: Callable[[], T | None], what: str, member: Member) -> T:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        member.check()
        time.sleep(LOOK_SECONDS)
    raise Failed(f"waited {READY_SECONDS} s in vain for {what}; see {member.log}")


def _check_panel(sandbox: Sandbox, bought: Bought) -> None:
    servers = [each for each in sandbox.panel_state()["servers"] if each["external_id"] == bought.server]
    if len(servers) != 1:
        raise Failed(f"order {bought.order} ended with {len(servers)} servers on the panel instead of one")


def _stay(crew: Crew, found: Places) -> NoReturn:
    print(f"Sign in as {LOGINS['admin']} (staff) or {LOGINS['customer']} (customer), password {PASSWORD}.")
    print(f"Logs are in {found.var / 'log'}. Ctrl-C stops everything.")
    print(f"READY shop={found.shop}/ admin={found.shop}/admin/ sandbox={found.sandbox}/", flush=True)
    while True:
        crew.check()
        time.sleep(0.5)


def _stop(crew: Crew, found: Places) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # stopping takes seconds and must not be stopped itself
    crew.stop()
    if not os.environ.get("DATABASE_URL"):
        crew.run("postgres", ["-m", "core.embedded", "stop", str(found.var)])


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
