"""Screenshots of every page, taken only where they are asked for."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # taking pictures is asked for before Django is set up
    from tests.browser.looks import Look, Window

FOLDER = "NODEBYTE_PICTURES"  # the environment variable that asks for pictures and says where to put them


def are_wanted() -> bool:
    """Whether this run shall leave pictures."""
    return bool(os.environ.get(FOLDER))


def take(window: "Window", name: str, look: "Look") -> None:
    """Keep what the page looks like from top to bottom, where pictures are wanted."""
    if are_wanted():
        window.page.wait_for_load_state("networkidle")
        folder = Path(os.environ[FOLDER]) / look.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name.replace(' ', '-')}.png").write_bytes(window.picture())
