"""Refuses requirements that drifted: unpinned, without hash, at odds with each other, or not what is installed."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)")
WANTED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
INDEX_OPTIONS = ("-i ", "--index-url", "--extra-index-url", "--find-links", "--trusted-host")


def main() -> int:
    """Print every problem; 1 when there is one."""
    runtime, development = (pins_of(ROOT / name) for name in ("requirements.txt", "requirements-dev.txt"))
    problems = [
        *lines_without_pin_or_hash(ROOT / "requirements.txt"),
        *lines_without_pin_or_hash(ROOT / "requirements-dev.txt"),
        *not_locked(ROOT / "requirements.in", runtime),
        *not_locked(ROOT / "requirements-dev.in", development),
        *(
            f"{name} is {runtime[name]} in requirements.txt and {development[name]} in requirements-dev.txt"
            for name in runtime.keys() & development.keys()
            if runtime[name] != development[name]
        ),
        *not_installed({**development, **runtime}),
    ]
    sys.stdout.write("".join(f"{problem}\n" for problem in problems) or "every requirement is pinned with hashes\n")
    return bool(problems)


def canonical(name: str) -> str:
    """The package's name as the packaging rules compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(path: Path) -> dict[str, str]:
    """Name and version of every pinned package."""
    found = (PIN.match(line) for line in path.read_text().splitlines())
    return {canonical(pin["name"]): pin["version"] for pin in found if pin}


def lines_without_pin_or_hash(path: Path) -> list[str]:
    """What the lock file says that is not `name==version` with a hash."""
    entries = re.sub(r"\\\n\s+", " ", path.read_text()).splitlines()
    entries = [entry for entry in entries if entry.strip() and not entry.lstrip().startswith("#")]
    options = [f"{path.name}: names an index: {entry}" for entry in entries if entry.startswith(INDEX_OPTIONS)]
    return options + [
        f"{path.name}: {entry.split()[0]} has no pin or no hash"
        for entry in entries
        if not entry.startswith("-") and not (PIN.match(entry) and "--hash=sha256:" in entry)
    ]


def not_locked(path: Path, pins: dict[str, str]) -> list[str]:
    """What the .in file asks for and the lock file does not have."""
    asked = (WANTED.match(line) for line in path.read_text().splitlines())
    names = (canonical(found["name"]) for found in asked if found)
    return [f"{path.name} asks for {name}, which is not locked; run `make lock`" for name in names if name not in pins]


def not_installed(pins: dict[str, str]) -> list[str]:
    """Where this environment is not what the lock files say."""
    return [
        f"{name} {pinned} is locked and {installed(name)} is installed; run tools/bootstrap"
        for name, pinned in sorted(pins.items())
        if installed(name) != pinned
    ]


def installed(name: str) -> str:
    """The installed version, or `none`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    sys.exit(main())
