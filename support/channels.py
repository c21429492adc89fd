"""The ways in which a message reaches a user: one small driver each, registered by its kind."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from accounts.models import User
from core import tenancy, work
from support.models import Delivery

if TYPE_CHECKING:
    from support.notifications import Event


class Channel(Protocol):
    """What a channel does. Its kind is the code that deliveries keep."""

    def compose(self, event: "Event[Any]", row: Any, user: User) -> Delivery | None:
        """The unsaved message that tells a user about a row; None where this channel does not reach them.

        Called with the user's language and time zone active.
        """
        ...

    def send(self, delivery: Delivery) -> None:
        """Send a message. A repeated call after a lost answer must not be a second message where that can be helped.

        Raises Rejected where the recipient is refused for good, Unavailable otherwise.
        """
        ...


_channels: dict[str, Channel] = {}


def register(kind: str, channel: Channel) -> None:
    """Register the channel of a kind; called from AppConfig.ready()."""
    _channels[kind] = channel


def registered() -> dict[str, Channel]:
    """Every channel, by kind."""
    return dict(_channels)


def queue(deliveries: list[Delivery], *, at: datetime) -> None:
    """Write messages in the transaction that causes them. Those that were written before are left as they are."""
    for delivery in deliveries:
        delivery.run_at = at
    with tenancy.as_worker():
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        work.wake_worker(Delivery)


def deliver(delivery: Delivery, /, *, at: datetime) -> None:
    """Send one message over its channel, unless that is done.

    Raises Rejected and Unavailable as the channel does; LookupError for a channel that is not registered.
    """
    if delivery.sent_at is not None:
        return
    if delivery.channel not in _channels:
        raise LookupError(f"no channel of kind {delivery.channel}")
    _channels[delivery.channel].send(delivery)
    Delivery.objects.filter(pk=delivery.pk).update(sent_at=at, body="", html_body="")
