"""`python -m tests.browser.screenshots [name …]`: pictures of every page in every look, under var/screenshots."""

import os
import sys
from pathlib import Path

import pytest

from tests.browser.pictures import FOLDER

ROOT = Path(__file__).resolve().parents[2]


def main(names: list[str]) -> int:
    """Take them, of all pages or of those named; the number pytest ends with."""
    folder = Path(os.environ.setdefault(FOLDER, str(ROOT / "var" / "screenshots")))
    wanted = " or ".join(f"({' and '.join(name.split())})" for name in names)
    narrowed = ["-k", wanted] if wanted else []
    code = pytest.main([str(ROOT / "tests" / "browser" / "test_every_page.py"), "-q", *narrowed])
    sys.stdout.write(f"pictures are in {folder}\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
