"""Events that users are told about: each is one declaration, and its messages are written with the rows it is about."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from typing import Any

from django.db.models import Model, QuerySet
from django.dispatch import Signal
from django.utils import timezone, translation
from django.utils.functional import Promise

from accounts.models import User
from accounts.time_zone import zone_named
from core import tenancy, work
from support import channels
from support.models import MessageTask

# A message takes milliseconds to compose, and a run writes about a thousand rows in a transaction that others wait for.
COMPOSED_AT_ONCE = 100


@dataclass(frozen=True)
class Event[Row: Model]:
    """What makes an event true, who is told, and what stands above the message.

    `signal` lists the keys of its rows in the argument `ids`; the event is meant where its other arguments have the
    values of `when`. `rows` are those that somebody is told about, with what subject and templates read. `recipient`
    gives one user, or several staff. The subject may name fields of the row: "{row.number}". `page` gives the path of
    the page that the message links to. Who was told about the same `key` is not told again: by default each row once.
    """

    name: str
    signal: Signal
    ids: str
    rows: QuerySet[Row]
    recipient: Callable[[Row], User | Iterable[User]]
    subject: str | Promise
    page: Callable[[Row], str]
    when: Mapping[str, object] = field(default_factory=dict)
    has_page: bool = False
    key: Callable[[Row, datetime], object] = lambda row, _at: row.pk

    def subject_of(self, row: Row) -> str:
        """The subject in the active language."""
        return str(self.subject).format(row=row)


_events: dict[str, Event[Any]] = {}
_mails: set[str] = set()


def register(event: Event[Any]) -> None:
    """From now on, tell users whenever the event's signal is sent. Called while apps load."""

    def receive(*, at: datetime, **arguments: Any) -> None:
        if all(arguments[name] == value for name, value in event.when.items()):
            ids = list(arguments[event.ids])
            if len(ids) > COMPOSED_AT_ONCE:
                request_messages(event, ids, at=at)
            else:
                notify(event, event.rows.filter(pk__in=ids).order_by("pk"), at=at)

    event.signal.connect(receive, weak=False, dispatch_uid=event.name)
    _events[event.name] = event


def register_mail(name: str) -> None:
    """Register an event of which another library composes the e-mail, with a link that is in no row."""
    _mails.add(name)


def has_event(name: str) -> bool:
    """Whether an event of either kind has this name."""
    return name in _events or name in _mails


def registered() -> dict[str, Event[Any]]:
    """Every event that messages are composed of here, by name."""
    return dict(_events)


def request_messages(event: Event[Any], ids: Sequence[Any], *, at: datetime) -> None:
    """Have workers compose the messages about these rows, once the transaction has committed."""
    tasks = [
        MessageTask(event=event.name, row_ids=[str(pk) for pk in some], happened_at=at, run_at=at)
        for some in batched(ids, COMPOSED_AT_ONCE)
    ]
    with tenancy.as_worker():
        MessageTask.objects.bulk_create(tasks)
        work.wake_worker(MessageTask)


def compose(task: MessageTask, /, *, at: datetime) -> None:
    """Write the messages of a task. LookupError for an event that is not registered."""
    if task.event not in _events:
        raise LookupError(f"no event is named {task.event}")
    event = _events[task.event]
    with tenancy.as_worker():
        notify(event, event.rows.filter(pk__in=task.row_ids).order_by("pk"), at=task.happened_at)


def notify[Row: Model](event: Event[Row], rows: Iterable[Row], *, at: datetime) -> None:
    """Queue the messages about one event over every channel, each in its user's language and time zone.

    A second call changes nothing.
    """
    deliveries = []
    for row in rows:
        told = event.recipient(row)
        for user in [told] if isinstance(told, User) else told:
            with translation.override(user.locale), timezone.override(zone_named(user.timezone)):
                for kind, channel in channels.registered().items():
                    delivery = channel.compose(event, row, user)
                    if delivery is None:
                        continue
                    delivery.channel, delivery.event, delivery.user = kind, event.name, user
                    delivery.organization_id = getattr(row, "organization_id", None)
                    delivery.reference = f"{event.name}:{event.key(row, at)}"
                    deliveries.append(delivery)
    if deliveries:
        channels.queue(deliveries, at=at)
