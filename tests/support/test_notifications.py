"""E-mails about events: of any row that an organization owns, once, in the recipient's language."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils.translation import gettext_lazy as _

from billing.models import Subscription
from support.models import Delivery
from support.notifications import Notification, notify_customers
from tests.builders import make_user
from tests.servers.builders import AT, organization_of


@pytest.mark.django_db
def test_an_email_is_about_any_row_of_an_organization_and_is_queued_once(settings: Any, tmp_path: Path) -> None:
    template = tmp_path / "support" / "email" / "subscription_ended.txt"
    template.parent.mkdir(parents=True)
    template.write_text("Your {{ subscription.term }} subscription ended. {{ link }}\n{{ shop }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path, *settings.TEMPLATES[0]["DIRS"]]}]
    settings.SITE_URL = "https://shop.example"
    organization = organization_of(make_user("kim@customer.example"))
    subscription = Subscription.objects.create(
        organization=organization, term="monthly", amount_minor=800, currency="USD"
    )

    notification = Notification(subscription, organization.owner, "Your subscription ended", "/invoices/")
    for _attempt in range(2):
        notify_customers([notification], event="subscription.ended", at=AT)

    [delivery] = Delivery.objects.all()
    assert (delivery.recipient, delivery.subject) == ("kim@customer.example", "Your subscription ended")
    assert str(delivery.body).startswith("Your monthly subscription ended. https://shop.example/invoices/\n")


@pytest.mark.django_db
def test_an_email_is_in_its_recipients_language(settings: Any, tmp_path: Path) -> None:
    template = tmp_path / "support" / "email" / "user_greeted.txt"
    template.parent.mkdir(parents=True)
    template.write_text("{% load i18n %}{% translate 'Yes' %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    user = make_user("kim@customer.example", locale="de")

    notify_customers([Notification(user, user, _("No"), "/")], event="user.greeted", at=AT)

    delivery = Delivery.objects.get()
    assert (delivery.subject, str(delivery.body).strip()) == ("Nein", "Ja")


@pytest.mark.django_db
@pytest.mark.parametrize(("zone", "said"), [("Europe/Berlin", "CET"), ("UTC", "UTC"), ("Mars/Olympus", "UTC")])
def test_an_email_says_a_time_in_its_recipients_zone(settings: Any, tmp_path: Path, zone: str, said: str) -> None:
    template = tmp_path / "support" / "email" / "user_greeted.txt"
    template.parent.mkdir(parents=True)
    template.write_text("{% load ui %}{{ user.created_at|instant_text }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    user = make_user("kim@customer.example", timezone=zone)
    user.created_at = datetime(2026, 11, 21, 12, tzinfo=UTC)

    notify_customers([Notification(user, user, "No", "/")], event="user.greeted", at=AT)

    assert str(Delivery.objects.get().body).strip().endswith(said)
