"""News from allauth."""

from typing import Any

from allauth.account.signals import email_confirmed
from django.dispatch import receiver

from accounts import services


@receiver(email_confirmed)
def activate(email_address: Any, **_: Any) -> None:
    """A confirmed address activates the account."""
    services.verify_email(user=email_address.user)
