"""E-mails that tell customers about an event: written with the rows they are about, and sent once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.functional import Promise

from accounts.models import User
from accounts.time_zone import zone_named
from core import site_settings
from core.models import Entity
from support.email import queue_emails


@dataclass(frozen=True)
class Notification:
    """What a user is told about a row: any that an organization owns. `path` is the page that the e-mail links to."""

    row: Entity
    recipient: User
    subject: str | Promise
    path: str


def notify_customers(notifications: Iterable[Notification], *, event: str, at: datetime) -> None:
    """Queue the e-mails about one event, each in its recipient's language and time zone. A second call changes nothing.

    Their text is the template `support/email/<event>.txt` ("_" for "."), which gets the row under its model's name, and
    `user`, `shop` and `link`.
    """
    template, shop = f"support/email/{event.replace('.', '_')}.txt", site_settings.get("shop.name")
    messages = []
    for each in notifications:
        user = each.recipient
        with translation.override(user.locale), timezone.override(zone_named(user.timezone)):
            context = {
                str(each.row._meta.model_name): each.row,
                "user": each.recipient,
                "shop": shop,
                "link": f"{settings.SITE_URL}{each.path}",
            }
            message = EmailMessage(
                subject=str(each.subject),
                body=render_to_string(template, context).strip() + "\n",
                to=[each.recipient.email],
            )
        messages.append((message, f"{event}:{each.row.pk}"))
    queue_emails(messages, at=at)
