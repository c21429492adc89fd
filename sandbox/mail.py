"""A mailbox that takes every message for anyone, shows it to users and lists it for tests."""

import re
from asyncio import AbstractEventLoop, Server
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape

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
        text, html = _part(message, "plain"), _part(message, "html")
        self._mails.append(
            {
                "number": len(self._mails) + 1,
                "at": self._frame.clock.now(),
                "from": str(message.get("From", envelope.mail_from or "")),
                "to": list(envelope.rcpt_tos),
                "subject": str(message.get("Subject", "")),
                "text": text,
                "html": html,
                "links": list(dict.fromkeys(LINK.findall(text or html.replace("&amp;", "&")))),
            }
        )
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
        """The pages for users and the list for tests."""
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
        rows = "".join(
            f"<tr><td>{escape(', '.join(mail['to']))}</td>"
            f'<td><a href="/mail/{mail["number"]}">{escape(mail["subject"] or "(no subject)")}</a></td></tr>'
            for mail in reversed(self._to(request.query_params.get("to")))
        )
        empty = '<p class="quiet">No mail yet. Every message that the shop sends appears here, to any address.</p>'
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


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body(preferencelist=(kind,))
    return "" if body is None else str(body.get_content())


def _mail_body(mail: JsonObject) -> str:
    facts = "".join(
        f"<div><dt class=quiet>{label}</dt><dd>{escape(value)}</dd></div>"
        for label, value in (("From", mail["from"]), ("To", ", ".join(mail["to"])))
    )
    text = ""
    if mail["text"]:
        pieces, urls = LINK.split(mail["text"]), [escape(url) for url in LINK.findall(mail["text"])]
        links = [*(f'<a href="{url}">{url}</a>' for url in urls), ""]
        text = "".join(escape(piece) + link for piece, link in zip(pieces, links, strict=True))
        text = f"<pre>{text}</pre>"
    rich = ""
    if mail["html"]:
        source = escape(f'<base target="_top">{mail["html"]}')
        rich = (
            '<h2>As the reader sees it</h2><iframe title="Message" '
            f'sandbox="allow-top-navigation-by-user-activation" srcdoc="{source}"></iframe>'
        )
    return (
        f'<p><a href="/mail">Mailbox</a></p><h1>{escape(mail["subject"])}</h1>'
        f'<div class="card"><dl class="rows">{facts}</dl>{text}</div>{rich}'
    )
