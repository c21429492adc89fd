"""Mail as durable work: written down in the business transaction, sent by the worker, once."""

import smtplib
from collections.abc import Sequence
from datetime import datetime
from email.utils import make_msgid
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from core import outside, tenancy, work
from support.models import Delivery


class QueuedBackend(BaseEmailBackend):
    """Django's mail backend that only writes Delivery rows: a sign-up is not lost when the mail server is down."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Queue one delivery for each recipient; the number of messages taken."""
        now = timezone.now()
        for message in email_messages:
            for recipient in message.recipients():
                _queue(message, recipient, now)
        return len(email_messages)


def _queue(message: EmailMessage, recipient: str, at: datetime) -> None:
    with tenancy.as_worker():
        Delivery.objects.create(
            recipient=recipient,
            sender=message.from_email,
            subject=message.subject[:255],
            body=str(message.body),
            html_body=_html_of(message),
            headers=dict(message.extra_headers),
            message_id=make_msgid(domain=_domain(message.from_email)),
            run_at=at,
        )
        work.wake_worker(Delivery)


def _html_of(message: EmailMessage) -> str:
    alternatives: list[Any] = list(getattr(message, "alternatives", []))
    return next((str(body) for body, kind in alternatives if kind == "text/html"), "")


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].strip("> ") or "localhost"


def deliver(delivery: Delivery, /, *, at: datetime) -> None:
    """Send one message. A refusal for good is Rejected; a lost answer may send twice, under the same Message-ID."""
    if delivery.sent_at is not None:
        return
    try:
        _message(delivery).send(using="delivery")
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal(error) from error
    except (smtplib.SMTPException, OSError) as error:
        raise outside.Unavailable(f"mail server: {type(error).__name__}") from error
    Delivery.objects.filter(pk=delivery.pk).update(sent_at=at, body="", html_body="")


def _message(delivery: Delivery) -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(
        delivery.subject,
        str(delivery.body),
        delivery.sender,
        [delivery.recipient],
        headers={**delivery.headers, "Message-ID": delivery.message_id},
    )
    if delivery.html_body:
        message.attach_alternative(str(delivery.html_body), "text/html")
    return message


def _refusal(error: smtplib.SMTPRecipientsRefused) -> Exception:
    codes = [code for code, _ in error.recipients.values()]
    if all(500 <= code < 600 for code in codes):
        return outside.Rejected(f"the mail server refuses the address ({codes[0]})")
    return outside.Unavailable(f"the mail server defers the address ({codes[0]})")
