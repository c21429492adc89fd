"""Messages about events: of any row that an organization owns, once over each channel, in the recipient's language."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.dispatch import Signal
from django.template.loader import get_template
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import Subscription
from core import work
from core.models import WorkState
from support import channels
from support.models import Delivery, MessageTask
from support.notifications import COMPOSED_AT_ONCE, Event, compose, notify, register, registered
from tests.builders import make_user
from tests.servers.builders import AT, organization_of

GREETING: Event[User] = Event(
    name="user.greeted",
    signal=Signal(),
    ids="user_ids",
    rows=User.objects.all(),
    recipient=lambda user: user,
    subject=_("No"),
    page=lambda _user: "/",
)


@pytest.fixture
def template_of(settings: Any, tmp_path: Path) -> Any:
    def write(event: str, text: str) -> None:
        template = tmp_path / "support" / "email" / f"{event}.txt"
        template.parent.mkdir(parents=True)
        template.write_text(text)
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path, *settings.TEMPLATES[0]["DIRS"]]}]

    return write


@pytest.mark.django_db
def test_a_signal_tells_the_owner_of_any_row_once(settings: Any, template_of: Any) -> None:
    template_of("subscription_ended", "Your {{ subscription.term }} subscription ended. {{ link }}\n{{ shop }}")
    settings.SITE_URL = "https://shop.example"
    organization = organization_of(make_user("kim@customer.example"))
    subscription = Subscription.objects.create(
        organization=organization, term="monthly", amount_minor=800, currency="USD"
    )
    ended = Signal()
    register(
        Event(
            name="subscription.ended",
            signal=ended,
            ids="subscription_ids",
            when={"reason": "unpaid"},
            rows=Subscription.objects.select_related("organization__owner"),
            recipient=lambda row: row.organization.owner,
            subject=_("Your {row.term} subscription ended"),
            page=lambda _subscription: "/invoices/",
        )
    )

    for reason in ("canceled", "unpaid", "unpaid"):
        ended.send(None, subscription_ids=[subscription.pk], reason=reason, at=AT)

    [delivery] = Delivery.objects.all()
    assert (delivery.organization, delivery.user) == (organization, organization.owner)
    assert (delivery.event, delivery.channel) == ("subscription.ended", "email")
    assert (delivery.recipient, delivery.subject) == ("kim@customer.example", "Your monthly subscription ended")
    assert str(delivery.body).startswith("Your monthly subscription ended. https://shop.example/invoices/\n")


@pytest.mark.django_db
def test_messages_about_many_rows_are_composed_by_a_worker_and_once(template_of: Any) -> None:
    template_of("user_welcomed", "Hello {{ user.email }}")
    welcomed = Signal()
    register(replace(GREETING, name="user.welcomed", signal=welcomed, ids="user_ids", rows=User.objects.all()))
    users = [make_user(f"kim{number}@customer.example") for number in range(COMPOSED_AT_ONCE + 1)]

    welcomed.send(None, user_ids=[user.pk for user in users], at=AT)
    assert not Delivery.objects.exists()
    tasks = list(MessageTask.objects.order_by("pk"))
    for task in [*tasks, *tasks]:
        compose(task, at=AT)

    assert {len(task.row_ids) for task in tasks} == {COMPOSED_AT_ONCE, 1}
    assert set(Delivery.objects.values_list("recipient", flat=True)) == {user.email for user in users}
    assert Delivery.objects.count() == len(users)


@pytest.mark.django_db
def test_a_message_is_in_its_recipients_language(template_of: Any) -> None:
    template_of("user_greeted", "{% load i18n %}{% translate 'Yes' %}")
    user = make_user("kim@customer.example", locale="de")

    notify(GREETING, [user], at=AT)

    delivery = Delivery.objects.get()
    assert (delivery.subject, str(delivery.body).strip()) == ("Nein", "Ja")


@pytest.mark.django_db
@pytest.mark.parametrize(("zone", "said"), [("Europe/Berlin", "CET"), ("UTC", "UTC"), ("Mars/Olympus", "UTC")])
def test_a_message_says_a_time_in_its_recipients_zone(template_of: Any, zone: str, said: str) -> None:
    template_of("user_greeted", "{% load ui %}{{ user.created_at|instant_text }}")
    user = make_user("kim@customer.example", timezone=zone)
    user.created_at = datetime(2026, 11, 21, 12, tzinfo=UTC)

    notify(GREETING, [user], at=AT)

    assert str(Delivery.objects.get().body).strip().endswith(said)


class Bell:
    """A channel that reaches only those users whose name it knows."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def compose(self, event: Event[Any], row: Any, user: User) -> Delivery | None:
        return Delivery(recipient=user.first_name, subject=event.subject_of(row)) if user.first_name else None

    def send(self, delivery: Delivery) -> None:
        self.rung.append(delivery.recipient)


@pytest.fixture
def bell() -> Iterator[Bell]:
    """A second channel, for the test only."""
    added, before = Bell(), channels.registered()
    channels.register("bell", added)
    yield added
    channels._channels.clear()
    channels._channels.update(before)


@pytest.mark.django_db
def test_another_channel_is_its_class_and_one_registration(bell: Bell, template_of: Any) -> None:
    template_of("user_greeted", "Hello")
    users = [make_user("kim@customer.example", first_name="Kim"), make_user("lee@customer.example", first_name="")]

    for _attempt in range(2):
        notify(GREETING, users, at=AT)
    work.run_due(at=AT, models=(Delivery,))

    told = set(Delivery.objects.values_list("channel", "user__email"))
    assert told == {("email", user.email) for user in users} | {("bell", "kim@customer.example")}
    assert bell.rung == ["Kim"]


@pytest.mark.django_db
def test_a_message_of_a_channel_that_is_gone_is_kept_and_says_so(bell: Bell) -> None:
    delivery = Delivery.objects.create(channel="pigeon", recipient="Kim", subject="Hello", run_at=AT)

    work.run_due(at=AT, models=(Delivery,))

    delivery = delivery.reload()
    assert (delivery.state, delivery.sent_at, bell.rung) == (WorkState.QUEUED, None, [])
    assert "no channel of kind pigeon" in delivery.last_error


@pytest.mark.django_db
def test_the_database_refuses_a_second_message_and_one_about_an_event_to_nobody() -> None:
    user = make_user("kim@customer.example")
    about: dict[str, Any] = {"reference": "order.paid:1", "recipient": "x", "subject": "x", "run_at": AT}
    Delivery.objects.create(user=user, channel="email", **about)
    Delivery.objects.create(user=user, channel="bell", **about)

    for fields in ({"user": user, "channel": "email"}, {"channel": "email"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Delivery.objects.create(**fields, **about)


@pytest.mark.parametrize("name", sorted(registered()))
def test_every_event_has_its_text(name: str) -> None:
    assert get_template(f"support/email/{name.replace('.', '_')}.txt")
