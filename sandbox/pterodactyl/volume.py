"""A server's files on its node: texts by path, with the operations of the file calls."""

import json
import posixpath
from collections.abc import Iterable
from typing import Any

from sandbox.pterodactyl.errors import DaemonError
from sandbox.pterodactyl.rows import Runtime

MAX_READ_BYTES = 4 * 1024 * 1024


def clean(path: str) -> str:
    """An absolute path without ``..`` and doubled slashes."""
    return posixpath.normpath("/" + path.strip("/"))


def below(folder: str, path: str) -> bool:
    """Whether a path lies in a folder, at any depth."""
    return path.startswith(folder.rstrip("/") + "/")


class Volume:
    """The files of one server."""

    def __init__(self, runtime: Runtime) -> None:
        self.files = runtime.files
        self.folders = runtime.folders

    def read(self, path: str) -> str:
        """A file's text. Raises a 404 of the node."""
        path = clean(path)
        if path not in self.files:
            raise DaemonError(404)
        return self.files[path]

    def write(self, path: str, text: str) -> None:
        """Write a file; the folders above it exist with it."""
        self.files[clean(path)] = text

    def make_folder(self, path: str) -> None:
        """Make an empty folder."""
        if clean(path) not in self.folders:
            self.folders.append(clean(path))

    def entries(self, folder: str) -> list[tuple[str, int | None]]:
        """The names in a folder: with a size for files, with None for folders. Raises a 404 of the node."""
        folder = clean(folder)
        found: dict[str, int | None] = {}
        for path in (*self.folders, *self.files):
            if below(folder, path):
                name, slash, _ = path[len(folder.rstrip("/")) + 1 :].partition("/")
                is_file = not slash and path in self.files
                found[name] = len(self.files[path].encode()) if is_file else None
        if not found and folder != "/" and folder not in self.folders:
            raise DaemonError(404)
        return sorted(found.items(), key=lambda entry: (entry[1] is not None, entry[0]))

    def under(self, path: str) -> list[str]:
        """The files at or below a path."""
        return [each for each in self.files if each == path or below(path, each)]

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder. Raises a 404 of the node."""
        source, target = clean(source), clean(target)
        moved = self.under(source)
        if not moved and source not in self.folders:
            raise DaemonError(404)
        for path in moved:
            self.files[target + path[len(source) :]] = self.files.pop(path)
        self.folders[:] = [
            target + each[len(source) :] if each == source or below(source, each) else each for each in self.folders
        ]

    def remove(self, path: str) -> None:
        """Delete a file or a folder with all below it."""
        path = clean(path)
        for each in self.under(path):
            del self.files[each]
        self.folders[:] = [each for each in self.folders if each != path and not below(path, each)]

    def compress(self, root: str, names: Iterable[str], archive: str) -> str:
        """Pack files into an archive, which here is JSON, and return its path."""
        packed = {
            path[len(clean(root).rstrip("/")) + 1 :]: self.files[path]
            for name in names
            for path in self.under(clean(f"{root}/{name}"))
        }
        target = clean(f"{root}/{archive}")
        self.files[target] = json.dumps(packed)
        return target

    def decompress(self, root: str, archive: str) -> None:
        """Unpack an archive that ``compress`` made. Raises a 400 of the node for anything else."""
        try:
            packed: Any = json.loads(self.read(f"{root}/{archive}"))
        except ValueError as error:
            raise DaemonError(400) from error
        for name, text in packed.items():
            self.write(f"{root}/{name}", text)
