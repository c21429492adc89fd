"""Mails about an account: short, from the shop, with the one link that matters, and honest about doing nothing."""

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse

from tests.builders import make_user

pytestmark = pytest.mark.django_db


def letter() -> EmailMessage:
    """The only mail sent so far."""
    (only,) = mail.outbox
    return only


def test_signing_up_asks_to_confirm_the_address(client: Client) -> None:
    client.post(reverse("account_signup"), {"email": "lin@customer.test", "password1": "seven brass lanterns"})

    assert letter().subject == "Confirm your email address"
    assert str(letter().body).count("http") == 1
    assert "/confirm-email/" in str(letter().body)
    assert str(letter().body).strip().endswith("NodeByte")


def test_signing_up_twice_tells_the_owner_and_nobody_else(client: Client) -> None:
    make_user("lin@customer.test")

    answer = client.post(reverse("account_signup"), {"email": "lin@customer.test", "password1": "seven brass lanterns"})

    assert answer["Location"] == reverse("account_email_verification_sent")
    assert letter().subject == "You have an account already"
    assert "/password/reset/" in str(letter().body)


def test_a_reset_sends_a_link_to_choose_a_password(client: Client) -> None:
    make_user("lin@customer.test")

    client.post(reverse("account_reset_password"), {"email": "lin@customer.test"})

    assert letter().subject == "Choose a new password"
    assert "/password/reset/key/" in str(letter().body)
    assert "your password stays as it is" in str(letter().body)


def test_a_reset_for_nobody_says_so_by_mail_only(client: Client) -> None:
    answer = client.post(reverse("account_reset_password"), {"email": "nobody@customer.test"})

    assert answer["Location"] == reverse("account_reset_password_done")
    assert letter().subject == "There is no account for this address"
    assert reverse("account_signup") in str(letter().body)
