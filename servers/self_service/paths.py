"""Paths and names of files as users enter them. Nothing else of the product looks into them."""

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# With a name behind it, a path fits into the target of a listing or an operation, and into its index.
MAX_PATH_BYTES, MAX_NAME_BYTES = 768, 255


def clean_path(text: str) -> str:
    """The normal form of a path below the server's folder: "plugins/config.yml", "" for that folder itself.

    Raises ValidationError for what could lead out of it or mean another file to the provider.
    """
    if text.startswith("/"):
        raise ValidationError(_("Leave out the slash at the beginning: paths begin in the server's own folder."))
    path = "/".join(clean_name(part) for part in text.split("/") if part)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise ValidationError(_("This path is too long."))
    return path


def clean_name(name: str) -> str:
    """The name of a file or folder. Raises ValidationError."""
    if name in {"", ".", ".."}:
        raise ValidationError(_("A name cannot be empty, “.” or “..”."))
    if "/" in name or "\\" in name or any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        raise ValidationError(_("A name has no slashes, backslashes or control characters."))
    if name != name.strip():  # a panel would cut them off, and mean another file
        raise ValidationError(_("A name does not begin or end with a space."))
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValidationError(_("This name is too long."))
    return name


def joined(folder: str, name: str) -> str:
    """The path of what is in a folder."""
    return f"{folder}/{name}" if folder else name


def steps_to(path: str) -> list[tuple[str, str]]:
    """The name and the path of each folder on the way, itself included: for breadcrumbs."""
    parts = path.split("/") if path else []
    return [(part, "/".join(parts[: index + 1])) for index, part in enumerate(parts)]
