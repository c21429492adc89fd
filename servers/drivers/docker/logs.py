"""What a container's program writes."""

import re

from servers.drivers.docker.engine import Engine

LINES, MAX_CHARACTERS = 300, 24_000  # a page is to stay light
# The colours and movements of a terminal, and its titles.
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def last_lines(engine: Engine, container: str) -> str:
    """The last lines of its output and its errors together, as plain text."""
    raw = engine.read("logs", lambda client: client.logs(container, stdout=True, stderr=True, tail=LINES))
    return plain(bytes(raw))


def plain(raw: bytes) -> str:
    """The end of the text, without what a terminal would do; whole lines where that is possible."""
    text = CONTROLS.sub("", ESCAPES.sub("", raw.decode(errors="replace")))
    end = text[-MAX_CHARACTERS:]
    return end if len(text) == len(end) or "\n" not in end else end.partition("\n")[2]
