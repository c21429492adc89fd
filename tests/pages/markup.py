"""What a reader of HTML sees of a page: headings, labels, controls, ids, titles."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

NAMELESS = {"hidden", "submit", "button"}
SELF_CLOSED = {"input", "meta", "link", "br", "hr", "img", "path", "circle", "use"}


@dataclass
class Outline:
    """The parts of a page that rules are about."""

    language: str = ""
    title: str = ""
    headings: list[str] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)
    labelled: set[str] = field(default_factory=set)
    controls: list[dict[str, str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    named: dict[str, str] = field(default_factory=dict)

    @property
    def unlabelled(self) -> list[str]:
        """Controls without any name for a reader."""
        return [str(each) for each in self.controls if not self._has_name(each)]

    def _has_name(self, control: dict[str, str]) -> bool:
        is_labelled = control.get("id") in self.labelled or "in label" in control
        return is_labelled or bool(control.get("aria-label") or control.get("aria-labelledby"))

    def value_of(self, name: str) -> str:
        """The value of the control with this name."""
        return next(each.get("value", "") for each in self.controls if each.get("name") == name)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outline = Outline()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.outline.tags[tag] += 1
        if "id" in has:
            self.outline.ids[has["id"]] += 1
        if tag not in SELF_CLOSED:
            self._open.append(tag)
        self._note(tag, has)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outline.tags[tag] += 1

    def _note(self, tag: str, has: dict[str, str]) -> None:
        outline = self.outline
        if tag == "html":
            outline.language = has.get("lang", "")
        elif tag == "label" and "for" in has:
            outline.labelled.add(has["for"])
        elif tag == "form":
            outline.forms.append(has)
        elif tag == "meta" and "name" in has:
            outline.named[has["name"]] = has.get("content", "")
        elif has.get("name") == "csrfmiddlewaretoken":
            outline.tokens += 1
        elif tag in {"input", "select", "textarea"} and has.get("type") not in NAMELESS:
            outline.controls.append(has | ({"in label": ""} if "label" in self._open else {}))
        elif tag in {"h1", "h2", "h3"}:
            outline.headings.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["title"]:
            self.outline.title += data

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                continue


def outline_of(page: str) -> Outline:
    """Read a page."""
    reader = _Reader()
    reader.feed(page)
    return reader.outline
