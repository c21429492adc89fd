"""PHP regular expressions carried over to Python's `re`, or refused with the reason why not."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

PAIRED_DELIMITERS = {"(": ")", "[": "]", "{": "}", "<": ">"}
# S (study) changes speed only; A and D are worked into the expression.
FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
OTHER_FLAGS = frozenset("uADS \r\n")
# Escapes that mean the same in both dialects. The rest is translated below or refused: Python would read
# some of them differently (PCRE's \v is a class of blanks) instead of failing.
SHARED_ESCAPES = frozenset("AbBdDsSwWnrtfa123456789")
SHARED_CLASS_ESCAPES = frozenset("dDsSwWnrtfab")
# A group repeated this often around a part that itself stretches this far can take exponential time.
WIDE_REPEAT = 10
# Even harmless-looking expressions take cubic time on long text; no game setting comes near this length.
MAX_MATCHED_CHARACTERS = 4_000

_HEX_ESCAPE = re.compile(r"\\x[0-9A-Fa-f]{2}")
_GROUP_OPENING = re.compile(r"\((?:\?(?::|=|!|<=|<!|>|P?<(?P<name>[A-Za-z_]\w*)>))?")
_QUANTIFIER = re.compile(r"(?P<sign>[*+?])|\{(?P<least>[0-9]{1,5})(?P<comma>,(?P<most>[0-9]{1,5})?)?\}")


class Untranslatable(Exception):
    """The expression has no exact Python twin; `reason` is a sentence for an administrator."""

    def __init__(self, reason: "StrPromise") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Preg:
    """A PHP expression ready to be tried. Without the `u` flag PHP compares bytes, so those are compared here too."""

    compiled: re.Pattern[str]
    is_unicode: bool

    def matches(self, text: str) -> bool:
        """Whether the expression is found in the text; overlong text counts as no match, as when PHP gives up."""
        if len(text) > MAX_MATCHED_CHARACTERS:
            return False
        return self.compiled.search(text if self.is_unicode else _bytewise(text)) is not None


@lru_cache(maxsize=512)
def translate(expression: str) -> Preg:
    """The expression, delimiters and flags included, as a Python one. Raises Untranslatable."""
    body, flags = _split(expression)
    is_unicode = "u" in flags
    python = _Translation(body if is_unicode else _bytewise(body), ends_strictly="D" in flags).run()
    options = re.NOFLAG if is_unicode else re.ASCII
    for letter in flags:
        options |= FLAGS.get(letter, re.NOFLAG)
    try:
        return Preg(re.compile(rf"\A(?:{python})" if "A" in flags else python, options), is_unicode)
    except (re.error, OverflowError, RecursionError) as error:
        raise Untranslatable(format_lazy(_("Python cannot read it: {error}."), error=error)) from error


def _bytewise(text: str) -> str:
    """One character per UTF-8 byte."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _split(expression: str) -> tuple[str, str]:
    expression = expression.lstrip()
    opening = expression[:1]
    if not opening or not opening.isascii() or opening.isalnum() or opening == "\\":
        raise Untranslatable(_("It does not begin with a delimiter such as “/”."))
    end = _closing_index(expression, opening)
    flags = expression[end + 1 :]
    if unknown := sorted(set(flags) - set(FLAGS) - OTHER_FLAGS):
        raise Untranslatable(format_lazy(_("It uses the flags “{flags}”."), flags="".join(unknown)))
    return expression[1:end], flags


def _closing_index(expression: str, opening: str) -> int:
    closing = PAIRED_DELIMITERS.get(opening, opening)
    depth = 1
    is_escaped = False
    for index, letter in enumerate(expression[1:], start=1):
        if is_escaped or letter == "\\":
            is_escaped = not is_escaped
        elif letter == closing:
            depth -= 1
        elif letter == opening:
            depth += 1
        if depth == 0:
            return index
    raise Untranslatable(_("Its closing delimiter is missing. The panel cuts rule lists at every “|”."))


@dataclass
class _Translation:
    """One walk over an expression's body, giving out Python text piece by piece."""

    body: str
    ends_strictly: bool
    position: int = 0
    # Per open group: does something inside stretch far?
    open_groups: list[bool] = field(default_factory=lambda: [False])
    is_last_group_wide: bool = False

    def run(self) -> str:
        pieces: list[str] = []
        while self.position < len(self.body):
            pieces.append(self._part_for(self.body[self.position])())
        return "".join(pieces)

    def _part_for(self, letter: str) -> Callable[[], str]:
        parts: dict[str, Callable[[], str]] = {"\\": self._escape, "[": self._class, "(": self._open, ")": self._close}
        return parts.get(letter, self._quantifier if letter in "*+?{" else self._literal)

    def _take(self, length: int) -> str:
        taken = self.body[self.position : self.position + length]
        self.position += length
        return taken

    def _literal(self) -> str:
        self.is_last_group_wide = False
        letter = self._take(1)
        return r"\Z" if letter == "$" and self.ends_strictly else letter

    def _escape(self) -> str:
        self.is_last_group_wide = False
        translated = {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)", r"\h": r"[ \t]", r"\e": r"\x1b"}
        return self._escaped(SHARED_ESCAPES, translated)

    def _escaped(self, shared: frozenset[str], translated: dict[str, str]) -> str:
        if found := _HEX_ESCAPE.match(self.body, self.position):
            return self._take(len(found[0]))
        pair = self._take(2)
        if pair in translated:
            return translated[pair]
        if len(pair) == 2 and (pair[1] in shared or not (pair[1].isascii() and pair[1].isalnum())):
            return pair
        raise Untranslatable(format_lazy(_("It uses “{escape}”."), escape=pair))

    def _class(self) -> str:
        self.is_last_group_wide = False
        pieces = [self._take(2 if self.body.startswith("[^", self.position) else 1)]
        if self.body.startswith("]", self.position):
            pieces.append("\\" + self._take(1))
        while self.position < len(self.body) and self.body[self.position] != "]":
            pieces.append(self._class_member())
        return "".join(pieces) + self._take(1)

    def _class_member(self) -> str:
        if self.body.startswith(("[:", "[.", "[="), self.position):
            raise Untranslatable(_("It uses a named character class such as “[:alpha:]”."))
        if self.body[self.position] != "\\":
            letter = self._take(1)
            return f"\\{letter}" if letter in "[&~|" else letter
        return self._escaped(SHARED_CLASS_ESCAPES, {r"\h": r" \t", r"\e": r"\x1b"})

    def _open(self) -> str:
        found = _GROUP_OPENING.match(self.body, self.position)
        following = self.body[self.position + 1 : self.position + 2]
        if not found or (found[0] == "(" and following in {"?", "*"}):
            raise Untranslatable(_("It uses a group that only PHP knows."))
        self.open_groups.append(False)
        self._take(len(found[0]))
        return f"(?P<{found['name']}>" if found["name"] else found[0]

    def _close(self) -> str:
        if len(self.open_groups) == 1:
            raise Untranslatable(_("A bracket is closed that was never opened."))
        self.is_last_group_wide = self.open_groups.pop()
        self.open_groups[-1] |= self.is_last_group_wide
        return self._take(1)

    def _quantifier(self) -> str:
        found = _QUANTIFIER.match(self.body, self.position)
        if not found:
            return "\\" + self._literal()
        least, most = _bounds(found)
        is_repeated_often = most is None or most >= WIDE_REPEAT
        if is_repeated_often and self.is_last_group_wide:
            raise Untranslatable(_("It repeats a repetition, which can take for ever on a text made for it."))
        self.open_groups[-1] |= most is None or most - least >= WIDE_REPEAT
        self.is_last_group_wide = False
        # A lazy "?" or possessive "+" belongs to this quantifier and is not one of its own.
        has_suffix = self.body[found.end() : found.end() + 1] in {"?", "+"}
        return self._take(len(found[0]) + has_suffix)


def _bounds(quantifier: re.Match[str]) -> tuple[int, int | None]:
    if quantifier["sign"]:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[quantifier["sign"]]
    least = int(quantifier["least"])
    if quantifier["most"]:
        return least, int(quantifier["most"])
    return least, None if quantifier["comma"] else least
