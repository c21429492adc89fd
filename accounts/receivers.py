"""What happens on allauth's signals."""

from typing import Any

from allauth.account import signals
from django.dispatch import receiver

from accounts import services
from core import audit


@receiver(signals.email_confirmed)
def activate(email_address: Any, **_: Any) -> None:
    """A confirmed address activates the account."""
    services.verify_email(user=email_address.user)


@receiver(signals.password_changed)
def record_password_change(user: Any, **_: Any) -> None:
    """Write an audit entry: who changed a password, and from where."""
    audit.record(action="user.change_password", entity=user, actor=user)


@receiver(signals.password_reset)
def record_password_reset(user: Any, **_: Any) -> None:
    """Write an audit entry for a password set through a link in an e-mail."""
    audit.record(action="user.reset_password", entity=user, actor=user)


@receiver(signals.email_changed)
def record_email_change(user: Any, from_email_address: Any, to_email_address: Any, **_: Any) -> None:
    """Write an audit entry: from now on the new address signs in and resets the password."""
    old = {"email_address": from_email_address.pk} if from_email_address else None
    audit.record(
        action="user.change_email", entity=user, actor=user, old=old, new={"email_address": to_email_address.pk}
    )
