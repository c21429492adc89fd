"""Letters about orders, each sent once: the reference is the fact it tells of."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from core import site_settings, tenancy, work
from core.ids import uuid7
from orders.models import Order
from support.models import Delivery


def tell_about_order(*, order: Order, fact: str, at: datetime, **context: Any) -> Delivery:
    """Queue the letter `order_<fact>` to the person who ordered; a second call finds the first."""
    reference = f"order:{order.pk}:{fact}"
    with tenancy.as_worker(), translation.override(order.placed_by.locale):
        subject, body = _letter(f"support/mail/order_{fact}.txt", order, context)
        delivery, is_new = Delivery.objects.get_or_create(
            reference=reference,
            defaults={
                "recipient": order.placed_by.email,
                "sender": settings.DEFAULT_FROM_EMAIL,
                "subject": subject[:255],
                "body": body,
                "message_id": f"<{uuid7()}@nodebyte>",
                "run_at": at,
            },
        )
        if is_new:
            work.wake_worker(Delivery)
    return delivery


def _letter(template: str, order: Order, context: dict[str, Any]) -> tuple[str, str]:
    """The first line of the template is the subject."""
    link = f"{settings.SITE_URL}{reverse('orders:progress', kwargs={'pk': order.pk})}"
    known = {"order": order, "link": link, "shop": site_settings.get("shop.name"), "person": order.placed_by}
    subject, _, body = render_to_string(template, known | context).strip().partition("\n")
    return " ".join(subject.split()), body.strip() + "\n"
