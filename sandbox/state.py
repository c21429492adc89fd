"""What survives a restart: one JSON snapshot per part of the sandbox."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

JsonObject = dict[str, Any]


class Persistent(Protocol):
    """A part of the sandbox whose whole content can be written down and read back."""

    @property
    def name(self) -> str:
        """The file name, and the word tests use for it."""

    def snapshot(self) -> JsonObject:
        """Everything needed to go on after a kill, as plain JSON values."""

    def restore(self, saved: JsonObject) -> None:
        """Take over what an earlier `snapshot` wrote."""

    def reset(self) -> None:
        """Go back to the seeded start."""


class StateStore:
    """Writes snapshots so that a reader sees the old one or the new one, never half of one.

    Without a directory nothing is written. The rename makes a `kill -9` harmless; a power cut is not covered.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._written: dict[str, str] = {}
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def load(self, part: Persistent) -> None:
        """Give the part its saved content; without a file it keeps its seeded start."""
        path = self._path(part)
        if path is not None and path.exists():
            part.restore(json.loads(path.read_text("utf-8")))

    def save(self, part: Persistent) -> None:
        """Write the part's content if it changed since the last call."""
        path = self._path(part)
        if path is None:
            return
        text = json.dumps(part.snapshot())
        if self._written.get(part.name) == text:
            return
        draft = path.with_suffix(".draft")
        draft.write_text(text, "utf-8")
        os.replace(draft, path)
        self._written[part.name] = text

    def _path(self, part: Persistent) -> Path | None:
        return None if self._directory is None else self._directory / f"{part.name}.json"
