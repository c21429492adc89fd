"""E-mails about an account: short, from the shop, with the one link that matters, and what to do if it was not you."""

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse

from tests.builders import make_user

pytestmark = pytest.mark.django_db


def only_email() -> EmailMessage:
    """The only e-mail sent so far."""
    (only,) = mail.outbox
    return only


def test_signing_up_asks_to_confirm_the_address(client: Client) -> None:
    client.post(reverse("account_signup"), {"email": "lin@customer.test", "password1": "seven brass lanterns"})

    assert only_email().subject == "Confirm your email address"
    assert str(only_email().body).count("http") == 1
    assert "/confirm-email/" in str(only_email().body)
    assert str(only_email().body).strip().endswith("NodeByte")


def test_signing_up_twice_emails_the_owner_and_nobody_else(client: Client) -> None:
    make_user("lin@customer.test")

    answer = client.post(reverse("account_signup"), {"email": "lin@customer.test", "password1": "seven brass lanterns"})

    assert answer["Location"] == reverse("account_email_verification_sent")
    assert only_email().subject == "You already have an account"
    assert "/password/reset/" in str(only_email().body)


def test_a_reset_sends_a_link_to_choose_a_password(client: Client) -> None:
    make_user("lin@customer.test")

    client.post(reverse("account_reset_password"), {"email": "lin@customer.test"})

    assert only_email().subject == "Choose a new password"
    assert "/password/reset/key/" in str(only_email().body)
    assert "Your password stays as it is" in str(only_email().body)


def test_a_reset_for_nobody_says_so_by_mail_only(client: Client) -> None:
    answer = client.post(reverse("account_reset_password"), {"email": "nobody@customer.test"})

    assert answer["Location"] == reverse("account_reset_password_done")
    assert only_email().subject == "There is no account for this address"
    assert reverse("account_signup") in str(only_email().body)
