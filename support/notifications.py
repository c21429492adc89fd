"""Which events customers are told about by e-mail. A new e-mail is a line here and its template."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core import site_settings
from orders.models import Order
from support.email import queue_emails


@dataclass(frozen=True)
class EmailNotification:
    """An e-mail that is sent once about an event; `%(number)s` in the subject is the order's number."""

    event: str
    subject: Promise
    template: str


EMAILS = {
    notification.event: notification
    for notification in (
        EmailNotification(
            "order.paid", _("Order %(number)s: we received your payment"), "support/email/order_paid.txt"
        ),
        EmailNotification(
            "order.active", _("Order %(number)s: your server is running"), "support/email/order_active.txt"
        ),
        EmailNotification(
            "order.waiting_capacity",
            _("Order %(number)s: waiting for capacity"),
            "support/email/order_waiting_capacity.txt",
        ),
        EmailNotification(
            "order.failed", _("Order %(number)s: your server is not ready yet"), "support/email/order_failed.txt"
        ),
        EmailNotification(
            "order.canceled", _("Order %(number)s is canceled and refunded"), "support/email/order_canceled.txt"
        ),
    )
}


def notify_customers(*, orders: Iterable[Order], event: str, at: datetime) -> None:
    """Queue the e-mail about the event, where there is one, to the users who ordered. A second call changes nothing.

    Orders come with `placed_by` and, for the lists of servers, their items.
    """
    notification = EMAILS.get(event)
    if notification is None:
        return
    shop, messages = site_settings.get("shop.name"), []
    for order in orders:
        with translation.override(order.placed_by.locale):
            link = f"{settings.SITE_URL}{reverse('orders:progress', kwargs={'pk': order.pk})}"
            context = {"order": order, "user": order.placed_by, "link": link, "shop": shop}
            message = EmailMessage(
                subject=notification.subject % {"number": order.number},
                body=render_to_string(notification.template, context).strip() + "\n",
                to=[order.placed_by.email],
            )
        messages.append((message, f"{event}:{order.pk}"))
    queue_emails(messages, at=at)
