"""E-mail: the channel, and Django's mail backend that writes deliveries."""

import smtplib
from collections.abc import Sequence
from email.utils import make_msgid, parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string

from accounts.models import Organization, User
from core import clock, outside, site_settings
from support import channels
from support.models import Delivery
from support.notifications import Event, has_event

EMAIL = "email"


class QueuedBackend(BaseEmailBackend):
    """Django's mail backend that only writes deliveries: a sign-up is not lost when the mail server is down.

    A message may carry the `user` whom it is for and the `event` that it is about, as attributes. It is filed under
    the user's personal organization.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Queue each message once for each recipient; how many there were. LookupError for an unknown event."""
        deliveries = []
        for message in email_messages:
            user, event = getattr(message, "user", None), getattr(message, "event", "")
            if event and not has_event(event):
                raise LookupError(f"no event {event}")
            owned = user.owned_organizations.filter(is_personal=True) if user else Organization.objects.none()
            organization = owned.first()
            alternatives: list[Any] = list(getattr(message, "alternatives", []))
            deliveries += [
                Delivery(
                    channel=EMAIL,
                    organization=organization,
                    user=user,
                    event=event,
                    recipient=recipient,
                    sender=message.from_email,
                    subject=message.subject[:255],
                    body=str(message.body),
                    html_body=next((str(body) for body, kind in alternatives if kind == "text/html"), ""),
                    headers=dict(message.extra_headers),
                    message_id=_message_id(message.from_email),
                )
                for recipient in message.recipients()
            ]
        channels.queue(deliveries, at=clock.now())
        return len(email_messages)


class EmailChannel:
    """Messages by e-mail. Their text is the template `support/email/<event>.txt` ("_" for ".").

    It gets the row under its model's name, and `user`, `shop` and `link`. So does `<event>.html`, where the event has a
    page: the same message for programs that show one.
    """

    def compose(self, event: Event[Any], row: Any, user: User) -> Delivery:
        """The e-mail in plain text, and as a page where the event has one."""
        context = {
            str(row._meta.model_name): row,
            "user": user,
            "shop": site_settings.get("shop.name"),
            "link": f"{settings.SITE_URL}{event.page(row)}",
        }
        template = f"support/email/{event.name.replace('.', '_')}"
        return Delivery(
            recipient=user.email,
            sender=settings.DEFAULT_FROM_EMAIL,
            subject=event.subject_of(row)[:255],
            body=render_to_string(f"{template}.txt", context).strip() + "\n",
            html_body=render_to_string(f"{template}.html", context) if event.has_page else "",
            message_id=_message_id(settings.DEFAULT_FROM_EMAIL),
        )

    def send(self, delivery: Delivery) -> None:
        """Send by SMTP. The Message-ID stays the same when it is sent again because the answer was lost."""
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


def _message_id(sender: str) -> str:
    return make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or "localhost")
