"""A browser without JavaScript: follows links and redirects, keeps cookies, fills in forms as they are on the page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

from demo.processes import DemoError

TIMEOUT_SECONDS = 30
TYPED = {"text", "email", "password", "search", "tel", "url", "number"}


@dataclass
class Field:
    """One control of a form."""

    name: str
    kind: str
    value: str = ""
    is_on: bool = True
    is_required: bool = False


@dataclass
class Form:
    """A form with its controls in page order."""

    action: str
    method: str
    fields: list[Field] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Whether a control has this name."""
        return any(each.name == name for each in self.fields)

    def blanks(self, text: str) -> dict[str, str]:
        """`text` as the answer for every text control that must be filled in and is still empty."""
        return {each.name: text for each in self.fields if each.kind == "text" and each.is_required and not each.value}

    def filled(self, answers: dict[str, str]) -> list[tuple[str, str]]:
        """What a browser sends for these `answers`, with a choice for every required control left open."""
        sent: list[tuple[str, str]] = []
        for each in self.fields:
            chosen = answers.get(each.name)
            if each.kind in {"radio", "checkbox"}:
                is_on = chosen == each.value if chosen is not None else self._is_checked(each, sent)
                sent += [(each.name, each.value)] if is_on else []
            elif each.name:
                sent.append((each.name, each.value if chosen is None else chosen))
        return sent

    def _is_checked(self, each: Field, sent: list[tuple[str, str]]) -> bool:
        """As the page has it; a required choice left open is made by its first option."""
        group = [other for other in self.fields if other.name == each.name and other.kind == each.kind]
        if any(other.is_on for other in group):
            return each.is_on
        return any(other.is_required for other in group) and each.name not in {name for name, _ in sent}


@dataclass
class Page:
    """A page that was answered, as a user sees it."""

    url: str
    status: int
    text: str
    forms: list[Form]
    links: list[str]
    errors: list[str]
    statuses: list[str]
    is_refreshing: bool

    def form_with(self, name: str) -> Form:
        """The form that asks for `name`. Raises DemoError."""
        found = next((form for form in self.forms if form.has(name)), None)
        if found is None:
            raise DemoError(f"{self.url} ({self.status}) has no form that asks for {name!r}.{self.error_text()}")
        return found

    def form_to(self, path: str) -> Form:
        """The form that posts to an address containing `path`. Raises DemoError."""
        found = next((form for form in self.forms if form.method == "post" and path in form.action), None)
        if found is None:
            raise DemoError(f"{self.url} ({self.status}) has no form to {path!r}.{self.error_text()}")
        return found

    def link_to(self, *parts: str) -> str:
        """The first link whose address has all `parts`. Raises DemoError."""
        found = next((link for link in self.links if all(part in link for part in parts)), None)
        if found is None:
            raise DemoError(f"{self.url} ({self.status}) has no link to {' … '.join(parts)}.{self.error_text()}")
        return found

    def error_text(self) -> str:
        """The page's error messages as a sentence to append."""
        return f" It says: {'; '.join(self.errors)}" if self.errors else ""


class Browser:
    """One session with its cookies."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.headers["Accept"] = "text/html"
        self._session.trust_env = False

    def open(self, url: str) -> Page:
        """Follow a link. Raises DemoError for an error page."""
        return self._page("GET", url)

    def send(self, page: Page, form: Form, **answers: str) -> Page:
        """Fill in and send a form; answers for controls it does not have are left out."""
        content = form.filled(answers)
        if form.method == "get":
            return self._page("GET", form.action, params=content)
        return self._page("POST", form.action, data=content, headers={"Referer": page.url})

    def _page(self, method: str, url: str, **options: Any) -> Page:
        try:
            answer = self._session.request(method, url, timeout=TIMEOUT_SECONDS, **options)
        except requests.RequestException as error:
            raise DemoError(f"{method} {url} got no answer ({type(error).__name__}).") from error
        page = read_page(answer.url, answer.status_code, answer.text)
        if answer.status_code >= 400:
            raise DemoError(f"{method} {url} answered {answer.status_code}.{page.error_text()}")
        return page


def read_page(url: str, status: int, text: str) -> Page:
    """A page's forms, links and messages."""
    parser = _PageParser(url)
    parser.feed(text)
    errors, statuses = (list(filter(None, found.texts)) for found in (parser.errors, parser.statuses))
    return Page(url, status, text, parser.forms, parser.links, errors, statuses, parser.is_refreshing)


class _ElementTexts:
    """The texts of all elements of one kind."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._tag = ""
        self._depth = 0

    def opened(self, tag: str, *, is_match: bool) -> None:
        if self._depth and tag == self._tag:
            self._depth += 1
        elif not self._depth and is_match:
            self._tag, self._depth = tag, 1
            self.texts.append("")

    def closed(self, tag: str) -> None:
        if self._depth and tag == self._tag:
            self._depth -= 1

    def add(self, text: str) -> None:
        if self._depth and text.strip():
            self.texts[-1] = f"{self.texts[-1]} {' '.join(text.split())}".strip()


class _PageParser(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._form: Form | None = None
        self._select: Field | None = None
        self._textarea: Field | None = None
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.errors = _ElementTexts()
        self.statuses = _ElementTexts()
        self.is_refreshing = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        is_error = has.get("role") == "alert" or "errorlist" in has.get("class", "").split()
        self.errors.opened(tag, is_match=is_error)
        self.statuses.opened(tag, is_match=has.get("role") == "status")
        if tag == "a" and has.get("href"):
            self.links.append(urljoin(self._url, has["href"]))
        elif tag == "meta" and has.get("http-equiv", "").lower() == "refresh":
            self.is_refreshing = True
        elif tag == "form":
            action = urljoin(self._url, has.get("action") or self._url)
            self._form = Form(action, has.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None and "disabled" not in has:
            self._control(tag, has)

    def _control(self, tag: str, has: dict[str, str]) -> None:
        name, is_required = has.get("name", ""), "required" in has
        kind = has.get("type", "text").lower()
        if tag == "input" and kind in {"radio", "checkbox"}:
            self._add(Field(name, kind, has.get("value", "on"), is_on="checked" in has, is_required=is_required))
        elif tag == "input" and kind in TYPED | {"hidden"}:
            self._add(Field(name, kind, has.get("value", ""), is_required=is_required))
        elif tag == "select":
            self._select = Field(name, "select", is_required=is_required)
            self._add(self._select)
        elif tag == "textarea":
            self._textarea = Field(name, "textarea", is_required=is_required)
            self._add(self._textarea)
        elif tag == "option" and self._select is not None and ("selected" in has or not self._select.value):
            self._select.value = has.get("value", "")

    def _add(self, control: Field) -> None:
        if self._form is not None and control.name:
            self._form.fields.append(control)

    def handle_endtag(self, tag: str) -> None:
        self.errors.closed(tag)
        self.statuses.closed(tag)
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        self.errors.add(data)
        self.statuses.add(data)
        if self._textarea is not None:
            self._textarea.value += data
