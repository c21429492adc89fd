"""A mailbox that takes every message for anyone, shows it to people and hands it to tests."""

import re
from asyncio import AbstractEventLoop, Server
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.frame import Frame
from sandbox.pages import page
from sandbox.state import JsonObject

LINK = re.compile(r"https?://[^\s<>\"')\]]+")
MAX_MESSAGE_BYTES = 25 * 1024 * 1024
SUCCESS = "250 Message accepted for delivery"


class Mailbox:
    """All mail received, oldest first; numbers start at 1 and stay until a reset."""

    name = "mail"

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._mails: list[JsonObject] = []

    def snapshot(self) -> JsonObject:
        """Every mail."""
        return {"mails": self._mails}

    def restore(self, saved: JsonObject) -> None:
        """Take over saved mail."""
        self._mails = list(saved["mails"])

    def reset(self) -> None:
        """Empty the mailbox."""
        self._mails = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep one message (the method name is aiosmtpd's) and accept it."""
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)  # noqa: S101  the default policy builds nothing else
        self._mails.append(_readable(message, envelope, len(self._mails) + 1, self._frame.clock.now()))
        self._frame.state.save(self)
        return SUCCESS

    async def listen(self, loop: AbstractEventLoop, host: str, port: int) -> Server:
        """Accept SMTP on host and port (0: any free one)."""

        def protocol() -> SMTP:
            return SMTP(
                self, data_size_limit=MAX_MESSAGE_BYTES, hostname="sandbox.invalid", loop=loop, enable_SMTPUTF8=True
            )

        return await loop.create_server(protocol, host, port)

    def routes(self) -> list[BaseRoute]:
        """The pages for people and the list for tests."""
        return [
            Route("/mail", self.list_page, methods=["GET"]),
            Route("/mail.json", self.list_json, methods=["GET"]),
            Route("/mail/{number:int}", self.mail_page, methods=["GET"]),
        ]

    async def list_json(self, request: Request) -> Response:
        """Every mail, or those to `?to=` (the whole address, in any case)."""
        return JSONResponse({"mails": self._to(request.query_params.get("to"))})

    async def list_page(self, request: Request) -> Response:
        """The mailbox, newest first."""
        rows = "".join(_row(mail) for mail in reversed(self._to(request.query_params.get("to"))))
        empty = '<p class="quiet">No mail yet. Whatever the shop sends, to whatever address, lands here.</p>'
        table = f"<table><thead><tr><th>To</th><th>Subject</th></tr></thead><tbody>{rows}</tbody></table>"
        return page("Mailbox", f'<h1>Mailbox</h1><div class="card">{table if rows else empty}</div>')

    async def mail_page(self, request: Request) -> Response:
        """One mail: its text with clickable links, and its HTML in a frame that cannot run scripts."""
        number = request.path_params["number"]
        if not 1 <= number <= len(self._mails):
            return page("No such mail", "<h1>No such mail</h1><p><a href='/mail'>Mailbox</a></p>", status=404)
        return page(self._mails[number - 1]["subject"], _mail_body(self._mails[number - 1]))

    def _to(self, address: str | None) -> list[JsonObject]:
        if not address:
            return self._mails
        return [mail for mail in self._mails if address.lower() in [to.lower() for to in mail["to"]]]


def _readable(message: EmailMessage, envelope: Envelope, number: int, at: float) -> JsonObject:
    text, html = _part(message, "plain"), _part(message, "html")
    return {
        "number": number,
        "at": at,
        "from": str(message.get("From", envelope.mail_from or "")),
        "to": list(envelope.rcpt_tos),
        "subject": str(message.get("Subject", "")),
        "headers": {name: str(value) for name, value in message.items()},
        "text": text,
        "html": html,
        "links": list(dict.fromkeys(LINK.findall(text or _unescaped(html)))),
        "attachments": [_attachment(part) for part in message.iter_attachments()] if message.is_multipart() else [],
    }


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body(preferencelist=(kind,))
    return "" if body is None else str(body.get_content())


def _unescaped(html: str) -> str:
    return html.replace("&amp;", "&")


def _attachment(part: Any) -> JsonObject:
    payload = part.get_payload(decode=True) or b""
    return {"name": part.get_filename() or "", "type": part.get_content_type(), "bytes": len(payload)}


def _row(mail: JsonObject) -> str:
    link = f'<a href="/mail/{mail["number"]}">{escape(mail["subject"] or "(no subject)")}</a>'
    return f"<tr><td>{escape(', '.join(mail['to']))}</td><td>{link}</td></tr>"


def _mail_body(mail: JsonObject) -> str:
    facts = "".join(
        f"<div><dt class=quiet>{label}</dt><dd>{escape(value)}</dd></div>"
        for label, value in (("From", mail["from"]), ("To", ", ".join(mail["to"])))
    )
    text = f"<pre>{_with_links(mail['text'])}</pre>" if mail["text"] else ""
    files = "".join(f"<li>{escape(file['name'])} ({file['bytes']} bytes)</li>" for file in mail["attachments"])
    rich = _frame_of(mail["html"]) if mail["html"] else ""
    return (
        f'<p><a href="/mail">Mailbox</a></p><h1>{escape(mail["subject"])}</h1>'
        f'<div class="card"><dl class="rows">{facts}</dl>{text}{f"<ul>{files}</ul>" if files else ""}</div>{rich}'
    )


def _frame_of(html: str) -> str:
    source = escape(f'<base target="_top">{html}')
    return (
        '<h2>As the reader sees it</h2><iframe title="Message" '
        f'sandbox="allow-top-navigation-by-user-activation" srcdoc="{source}"></iframe>'
    )


def _with_links(text: str) -> str:
    parts, last = [], 0
    for found in LINK.finditer(text):
        url = escape(found.group())
        parts += [escape(text[last : found.start()]), f'<a href="{url}">{url}</a>']
        last = found.end()
    return "".join([*parts, escape(text[last:])])
