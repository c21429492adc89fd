"""Text files: read for an editor, and written only over what the editor was shown."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from servers.drivers.base import NotOnNode
from servers.drivers.self_service import Files, Refused

MIB = 1024 * 1024
MAX_VIEWED_BYTES = 4 * MIB
MAX_EDITED_BYTES = 900 * 1024  # what a form may send, with the rest of it


def read(driver: Files, identifier: str, path: str) -> dict[str, Any]:
    """A file for the page: `text` is None where it is no text, `version` says later whether it is still the same."""
    content = driver.read_file(identifier, path)
    if len(content) > MAX_VIEWED_BYTES:
        raise Refused(_("The file is too large to be shown here. Download it instead."))
    text = _text_of(content)
    return {
        "text": text,
        "version": _version(content),
        "size_bytes": len(content),
        "is_crlf": b"\r\n" in content,
        "is_editable": text is not None and len(content) <= MAX_EDITED_BYTES,
    }


def _text_of(content: bytes) -> str | None:
    """The text, unless an editor would change more of the file than its user did."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    has_both = "\r\n" in text and "\n" in text.replace("\r\n", "")
    is_odd = "\0" in text or "\r" in text.replace("\r\n", "") or has_both
    return None if is_odd else text.replace("\r\n", "\n")


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(driver: Files, identifier: str, path: str, content: Mapping[str, Any]) -> None:
    """Write an upload, or a text if the file is still of the version that was edited; "" is a file that is not there.

    Raises Refused for another version. Of the text itself it is harmless: an earlier try has written it.
    """
    if "base64" in content:
        driver.write_file(identifier, path, base64.b64decode(content["base64"]))
        return
    text: str = content["text"]
    written = (text.replace("\n", "\r\n") if content["is_crlf"] else text).encode()
    try:
        present = _version(driver.read_file(identifier, path))
    except NotOnNode:
        present = ""
    if present not in {content["version"], _version(written)}:
        if not content["version"]:
            raise Refused(_("There is a file of this name already. Open it to change it."))
        raise Refused(_("The file was changed since you opened it, so yours was not saved over it."))
    driver.write_file(identifier, path, written)
