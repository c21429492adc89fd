"""E-mail as durable work: a delivery is written in the transaction that causes it, and sent once by the worker."""

import smtplib
from collections.abc import Sequence
from datetime import datetime
from email.utils import make_msgid, parseaddr
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from core import clock, outside, tenancy, work
from support.models import Delivery


class QueuedBackend(BaseEmailBackend):
    """Django's mail backend that only writes deliveries: a sign-up is not lost when the mail server is down."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Queue the messages; how many there were."""
        queue_emails([(message, None) for message in email_messages], at=clock.now())
        return len(email_messages)


def queue_emails(messages: Sequence[tuple[EmailMessage, str | None]], *, at: datetime) -> None:
    """Write a delivery for each recipient of each message.

    A message comes with its reference or None. One with a reference has one recipient and is queued once.
    """
    deliveries = []
    for message, reference in messages:
        alternatives: list[Any] = list(getattr(message, "alternatives", []))
        domain = parseaddr(message.from_email)[1].rpartition("@")[2] or "localhost"
        deliveries += [
            Delivery(
                reference=reference,
                recipient=recipient,
                sender=message.from_email,
                subject=message.subject[:255],
                body=str(message.body),
                html_body=next((str(body) for body, kind in alternatives if kind == "text/html"), ""),
                headers=dict(message.extra_headers),
                message_id=make_msgid(domain=domain),
                run_at=at,
            )
            for recipient in message.recipients()
        ]
    with tenancy.as_worker():
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        work.wake_worker(Delivery)


def deliver(delivery: Delivery, /, *, at: datetime) -> None:
    """Send one message. Its Message-ID stays the same when it is sent again because the answer was lost.

    Raises Rejected where the mail server refuses the address for good, Unavailable otherwise.
    """
    if delivery.sent_at is not None:
        return
    message = EmailMultiAlternatives(
        delivery.subject,
        str(delivery.body),
        delivery.sender,
        [delivery.recipient],
        headers={**delivery.headers, "Message-ID": delivery.message_id},
    )
    if delivery.html_body:
        message.attach_alternative(str(delivery.html_body), "text/html")
    try:
        message.send(using="delivery")
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        if all(500 <= code < 600 for code in codes):
            raise outside.Rejected(f"the mail server refuses the address ({codes[0]})") from error
        raise outside.Unavailable(f"the mail server defers the address ({codes[0]})") from error
    except (smtplib.SMTPException, OSError) as error:
        raise outside.Unavailable(f"mail server: {type(error).__name__}") from error
    Delivery.objects.filter(pk=delivery.pk).update(sent_at=at, body="", html_body="")
