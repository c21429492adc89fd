"""A message is written with the business row it belongs to, and leaves once, over real SMTP."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.core import mail
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Organization
from core import work
from core.models import WorkState
from support.channels import deliver
from support.models import Delivery
from tests.builders import PASSWORD

QUEUED = {"BACKEND": "support.email.QueuedBackend"}


class MailServer:
    """A mail server that keeps what it takes and can refuse a recipient."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refusal = ""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if not self.refusal:
            envelope.rcpt_tos.append(address)
        return self.refusal or "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        self.taken.append(content if isinstance(content, str) else content.decode())
        return "250 taken"


class AnyPort(Controller):
    """aiosmtpd's server thread on whatever port is free."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    server = MailServer()
    controller = AnyPort(server, hostname="127.0.0.1", port=0)
    controller.start()
    settings.MAILERS = {"default": QUEUED, "delivery": _smtp(controller.port)}
    yield server
    controller.stop()


def _smtp(port: int) -> dict[str, Any]:
    options = {"host": "127.0.0.1", "port": port, "timeout": 5}
    return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}


def write_mail(*recipients: str) -> None:
    message = mail.EmailMultiAlternatives(
        "Grüße", "Open https://shop.example/a", "Shop <shop@shop.example>", recipients
    )
    message.attach_alternative("<p>Open it</p>", "text/html")
    message.send()


def _soon() -> datetime:
    """After the present: the backend writes down the present, as Django calls it without a time."""
    return timezone.now() + timedelta(seconds=1)


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def run_mail(at: datetime) -> int:
    return work.run_due(at=at, models=(Delivery,))


@pytest.mark.django_db(transaction=True)
def test_a_message_leaves_once_with_both_its_bodies(mail_server: MailServer) -> None:
    write_mail("kim@customer.example")
    assert mail_server.taken == []

    run_mail(at=_soon())
    run_mail(at=_soon() + timedelta(days=1))

    assert len(mail_server.taken) == 1
    assert "multipart/alternative" in mail_server.taken[0]
    delivery = Delivery.objects.get()
    assert f"Message-ID: {delivery.message_id}" in mail_server.taken[0]
    assert (delivery.state, delivery.body, delivery.html_body) == (WorkState.DONE, "", "")


@pytest.mark.django_db(transaction=True)
def test_a_message_goes_down_with_its_transaction(mail_server: MailServer) -> None:
    with transaction.atomic():
        write_mail("kim@customer.example")
        transaction.set_rollback(True)

    assert not Delivery.objects.exists()
    assert run_mail(at=_soon()) == 0
    assert mail_server.taken == []


@pytest.mark.django_db(transaction=True)
def test_nobody_sees_who_else_was_written_to(mail_server: MailServer) -> None:
    write_mail("kim@customer.example", "lee@customer.example")

    run_mail(at=_soon())

    assert len(mail_server.taken) == 2
    assert sum("kim@" in taken for taken in mail_server.taken) == 1


@pytest.mark.django_db(transaction=True)
def test_a_message_taken_already_is_not_sent_again_by_a_repeated_handler(mail_server: MailServer) -> None:
    write_mail("kim@customer.example")
    delivery = Delivery.objects.get()

    deliver(delivery, at=_soon())
    deliver(Delivery.objects.get(), at=_soon())

    assert len(mail_server.taken) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("refusal", "state"), [("550 no such user", WorkState.DEAD), ("451 later", WorkState.QUEUED)])
def test_a_refusal_for_good_is_final_and_a_deferral_waits(
    mail_server: MailServer, refusal: str, state: WorkState
) -> None:
    write_mail("kim@customer.example")
    mail_server.refusal = refusal

    run_mail(at=_soon())

    delivery = Delivery.objects.get()
    assert delivery.state == state
    assert refusal[:3] in delivery.last_error


@pytest.mark.django_db(transaction=True)
def test_a_silent_mail_server_only_delays(mail_server: MailServer, settings: Any) -> None:
    write_mail("kim@customer.example")
    whole = settings.MAILERS
    settings.MAILERS = {"default": QUEUED, "delivery": _smtp(_closed_port())}

    run_mail(at=_soon())
    assert Delivery.objects.get().state == WorkState.QUEUED
    settings.MAILERS = whole
    run_mail(at=_soon() + timedelta(hours=2))

    assert len(mail_server.taken) == 1


@pytest.mark.django_db
def test_emails_of_the_sign_in_pages_are_events_of_their_users_organization(settings: Any) -> None:
    settings.MAILERS = {"default": QUEUED}
    for _ in range(2):
        Client().post("/accounts/signup/", {"email": "ada@example.com", "password1": PASSWORD})
        cache.clear()  # it limits how often an address is written to
    for address in ("ada@example.com", "nobody@example.com"):
        Client().post("/accounts/password/reset/", {"email": address})

    organization = Organization.objects.get(owner__email="ada@example.com")
    assert {each.event: (each.recipient, each.user, each.organization) for each in Delivery.objects.all()} == {
        "account.email_confirmation_signup": ("ada@example.com", organization.owner, organization),
        "account.account_already_exists": ("ada@example.com", organization.owner, organization),
        "account.password_reset_key": ("ada@example.com", organization.owner, organization),
        "account.unknown_account": ("nobody@example.com", None, None),
    }


@pytest.mark.django_db
def test_an_email_about_an_event_that_is_not_registered_is_an_error(settings: Any) -> None:
    settings.MAILERS = {"default": QUEUED}
    message: Any = mail.EmailMessage("Hello", "Hello", "Shop <shop@shop.example>", ["ada@example.com"])
    message.event = "account.party"

    with pytest.raises(LookupError, match=r"account\.party"):
        message.send()
