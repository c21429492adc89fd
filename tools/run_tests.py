"""Runs the suite on an embedded PostgreSQL of its own, and stops that server however the run ends.

Its folder is NODEBYTE_TEST_VAR or var/test, as nodebyte/settings.py says. Arguments go to pytest. CHROMIUM names a
browser; without any, browser tests are left out, and a line says so.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A shop's own settings must not reach its tests; nodebyte/settings.py reads TEST_DATABASE_URL and TEST_REDIS_URL.
DROPPED: tuple[str, ...] = (
    "SITE_URL",
    "DEBUG",
    "EMAIL_URL",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "STRIPE_API_BASE",
    "PAYPAL_API_BASE",
    "TRIPAY_API_BASE",
    "HYTALE_OAUTH_BASE",
    "HYTALE_ACCOUNT_BASE",
    "HYTALE_SESSIONS_BASE",
    "GAME_STAND_IN",
)
DROPPED += ("DATABASE_URL", "DATABASE_CUSTOMER_URL", "DATABASE_OWNER_URL", "REDIS_URL")
# One worker more than cores: a worker waits for its database, its browser or a timeout a sixth of its time.
WORKERS = (os.cpu_count() or 1) + 1
# Files begin in the order of tests/conftest.py, not those with the most tests first.
PYTEST = [sys.executable, "-m", "pytest", "-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder"]


def main(arguments: list[str]) -> int:
    """Run pytest; its exit status, or 128 and the signal that ended the run."""
    environment = test_environment(os.environ)
    chromium = find_chromium()
    if chromium:
        environment["CHROMIUM"] = chromium
    else:
        print("No Chromium here, so the browser tests are left out. Install one, or set CHROMIUM=/path/to/chromium.")
        arguments = ["-m", "not browser", *arguments]
    try:
        return run([*PYTEST, *arguments], environment)
    finally:
        subprocess.run([sys.executable, "manage.py", "embedded", "stop"], cwd=ROOT, env=environment, check=True)


def test_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of the tests' processes."""
    var = variables.get("NODEBYTE_TEST_VAR") or str(ROOT / "var" / "test")
    return {name: value for name, value in variables.items() if name not in DROPPED} | {"NODEBYTE_VAR": var}


def find_chromium() -> str:
    """A browser's path, empty when there is none."""
    names = (os.environ.get("CHROMIUM", ""), *BROWSERS)
    return next((path for name in names if name and (path := shutil.which(name))), "")


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command that hears Ctrl-C itself; any other end is passed on to it as one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a child started by a background job would ignore it
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
        code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
