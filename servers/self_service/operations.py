"""Reading what is inside a server, and acting on it: asked for by a page, done by a worker."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit, outside, tenancy, work
from core.models import WorkState
from core.models.audit import Outcome
from servers import queries
from servers.convergence.scheduling import request_convergence
from servers.drivers import registry
from servers.drivers.base import Driver, NotOnNode, WrongState
from servers.drivers.self_service import Refused
from servers.live.status import INSTALLED
from servers.models import Listing, Operation, OperationOutcome, Server, ServerStatus
from servers.self_service.kinds import LISTINGS, OPERATIONS, Call, OperationKind

log = logging.getLogger(__name__)
# An act is not sent later than this: nothing is to be deleted an hour after somebody asked for it.
GIVE_UP_AFTER = timedelta(minutes=2)
# A page that is looked at has its lists read again when they are older than this.
FRESH_FOR = timedelta(seconds=10)
SHOWN_FOR = timedelta(minutes=10)
KEPT_FOR = timedelta(days=1)
# Of one server: nobody fills the queue that all share, nor the database, nor uses up the provider's calls.
MAX_OPEN = 50  # or asked for in the last minute
MAX_LISTINGS = 200
OPEN = (WorkState.QUEUED, WorkState.RUNNING)
UNANSWERED = {OperationOutcome.NOT_SENT, OperationOutcome.NO_ANSWER}


class OperationRefused(Exception):
    """The act was not asked for; the text says why, for the customer."""


@dataclass(frozen=True)
class SectionContent:
    """What a page shows: a listing, and the acts of the last minutes, the newest first."""

    rows: Any
    read_at: datetime | None
    problem: str
    is_reading: bool
    is_behind: bool  # whether what is shown is being read again
    operations: Sequence[Operation]

    @property
    def is_outdated(self) -> bool:
        """Whether something was done since it was read."""
        ended = [each.finished_at for each in self.operations if each.outcome == OperationOutcome.DONE]
        return any(self.read_at is None or (at is not None and at > self.read_at) for at in ended)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way, so that the page looks again soon."""
        return self.is_reading or any(each.is_open for each in self.operations)


def show(
    server: Server,
    kind: str,
    *,
    at: datetime,
    target: str = "",
    acts: Sequence[str] = (),
    most: int = 5,
    fresh_for: timedelta = FRESH_FOR,
) -> SectionContent:
    """What was read last, and have it read again where that is too long ago. Asks no provider.

    `acts` are the kinds of operations whose outcome is shown beside it, the last `most` of them.
    """
    operations = latest(server, acts, at=at, most=most)
    with tenancy.as_worker(server):
        listing = Listing.objects.filter(server=server, kind=kind, target=target).first()
        is_old = listing is None or listing.read_at is None or at - listing.read_at > fresh_for
        is_full = False
        if is_old and server.status in INSTALLED and not (listing and listing.is_open):
            is_full = listing is None and not _make_room(server)
            listing = listing if is_full else _request_listing(_with_provider(server), kind, target, at=at)
    if listing is None:
        problem = _("Too much is being read at the moment. Try again in a minute.") if is_full else ""
        return SectionContent(None, None, problem, is_reading=False, is_behind=False, operations=operations)
    # While a list that is there is read again, the page has nothing to wait for.
    is_reading = listing.is_open and listing.read_at is None and not listing.problem
    return SectionContent(listing.result, listing.read_at, listing.problem, is_reading, listing.is_open, operations)


def _make_room(server: Server) -> bool:
    """Whether one more may be read for the first time. Of those that were read, the oldest make room."""
    rows = Listing.objects.filter(server=server)
    beyond = rows.exclude(state__in=OPEN).order_by("-finished_at")[MAX_LISTINGS - 1 :]
    rows.filter(pk__in=beyond.values("pk")).delete()
    return rows.filter(state__in=OPEN).count() < MAX_OPEN


def latest(server: Server, kinds: Sequence[str], *, at: datetime, most: int = 5) -> list[Operation]:
    """What was asked for in the last minutes, the newest first."""
    with tenancy.as_worker(server):
        rows = Operation.objects.filter(server=server, kind__in=kinds, requested_at__gte=at - SHOWN_FOR)
        operations = list(rows.order_by("-requested_at")[:most])
    for each in operations:
        each.label = OPERATIONS[each.kind].label
    return operations


def acts_of(server: Server, kinds: Sequence[str], *, at: datetime) -> SectionContent:
    """What a page shows that reads nothing at the provider: only the acts of the last minutes."""
    return SectionContent(None, None, "", is_reading=False, is_behind=False, operations=latest(server, kinds, at=at))


def driver_for(server: Server) -> object:
    """The driver of the server's provider, of which a page asks what it can do; None while the server is not there."""
    with tenancy.as_worker(server):
        row = _with_provider(server)
    return registry.driver_of(row.blueprint.provider) if row.identifier else None


def _with_provider(server: Server) -> Server:
    return Server.objects.select_related("blueprint__provider").get(pk=server.pk)


def _request_listing(server: Server, kind: str, target: str, *, at: datetime) -> Listing:
    """In the worker's transaction."""
    listing = Listing.request(
        server,
        {"kind": kind, "target": target},
        at=at,
        organization_id=server.organization_id,
        provider_id=server.blueprint.provider_id,
        node_id=server.node_id,
    )
    work.wake_worker(Listing)
    return listing


def request(
    *,
    server: Server,
    kind: str,
    actor: User | None,
    at: datetime,
    target: str = "",
    arguments: Mapping[str, Any] | None = None,
    content: Any = None,
) -> Operation:
    """Have a worker carry the act out once. `content` is kept encrypted until then, and is in no audit entry.

    What was asked for last and is still open is not asked for again: a form that is sent twice does it once.
    Raises OperationRefused where the server is in no state for it, its provider cannot do it, or too much is under way.
    """
    act = OPERATIONS[kind]
    refuse_by_state(server, kind)
    with tenancy.as_worker(server):
        row = _with_provider(server)
        if not row.identifier or not isinstance(registry.driver_of(row.blueprint.provider), act.ability):
            raise OperationRefused(_("This server's provider cannot do that."))
        entered = dict(arguments or {})
        last = _last_under_way(row, at=at)
        if last and content is None and _asked_in(last) == (kind, target, entered, actor and actor.pk):
            return last
        new = {"target": target, **entered} if target else entered
        audit.record(action=f"server.{kind}", entity=row, actor=actor, new=new, at=at)
        operation = Operation.objects.create(
            server=row,
            organization_id=row.organization_id,
            provider_id=row.blueprint.provider_id,
            node_id=row.node_id,
            kind=kind,
            target=target,
            arguments=entered,
            content=act.new_content() if act.new_content else content,
            requested_at=at,
            requested_by=actor,
            run_at=at,
        )
        work.wake_worker(Operation)
    return operation


def refuse_by_state(server: Server, kind: str) -> None:
    """Raise OperationRefused where the server is in no state for this kind of act."""
    if server.status == ServerStatus.SUSPENDED or server.has_holds():
        raise OperationRefused(_("The server is suspended. This is possible again once the suspension is lifted."))
    if not _is_ready_for(server, OPERATIONS[kind]):
        raise OperationRefused(_("This is not possible in the server's present state."))


def _is_ready_for(server: Server, act: OperationKind) -> bool:
    has_failed = server.status == ServerStatus.FAILED and server.running_at is not None
    return server.status in INSTALLED or (has_failed and act.is_for_failed)


def _last_under_way(server: Server, *, at: datetime) -> Operation | None:
    """What was asked for last, if it has yet to end. Two tabs come here one after the other."""
    Server.objects.select_for_update(no_key=True).get(pk=server.pk)
    is_recent = Q(state__in=OPEN) | Q(requested_at__gt=at - timedelta(minutes=1))
    rows = Operation.objects.filter(server=server)
    if rows.filter(is_recent).count() >= MAX_OPEN:
        raise OperationRefused(_("This is too much at once. Try again in a minute."))
    last = rows.defer("content", "result").order_by("-requested_at").first()
    return last if last and last.is_open else None


def _asked_in(operation: Operation) -> tuple[Any, ...]:
    """What makes it the same act as another; "before" is what a worker wrote into it."""
    entered = {name: value for name, value in operation.arguments.items() if name != "before"}
    return operation.kind, operation.target, entered, operation.requested_by_id


def read(listing: Listing, *, at: datetime) -> None:
    """The handler of listings: read it, or say why it cannot be read."""
    server = _with_provider(listing.server)
    driver, kind = registry.driver_of(server.blueprint.provider), LISTINGS[listing.kind]
    call = Call(server.identifier, listing.target)
    changed: dict[str, Any]
    if not server.identifier or not isinstance(driver, kind.ability):
        changed = {"problem": _("This server's provider cannot do that.")}
    else:
        try:
            changed = {"result": kind.read(driver, call), "read_at": at, "problem": ""}
        except outside.Rejected as error:
            log.info("listing %s of %s: %s", listing.kind, server.pk, error)
            changed = {"problem": _reason(error), "read_at": at}
    Listing.objects.filter(pk=listing.pk).update(**changed)


def perform(operation: Operation, *, at: datetime) -> None:
    """The handler of operations: carry the act out once, and record how that ended. An outage is waited for briefly.

    Whoever asked may have lost their access meanwhile; then it is not sent, and what may have been is only looked for.
    """
    kind = OPERATIONS[operation.kind]
    if at - operation.requested_at > GIVE_UP_AFTER:
        return _settle(operation, OperationOutcome(operation.outcome or OperationOutcome.NOT_SENT), at=at)
    server = _with_provider(operation.server)
    driver = registry.driver_of(server.blueprint.provider)
    if not _is_ready_for(server, kind) or server.has_holds() or not isinstance(driver, kind.ability):
        return _settle(operation, OperationOutcome.NOT_POSSIBLE, at=at)
    call = Call(server.identifier, operation.target, operation.arguments, operation.content, server.pk)
    is_sent = operation.outcome == OperationOutcome.NO_ANSWER
    if not queries.may_still(operation.requested_by, kind.action, server) and (kind.is_repeatable or not is_sent):
        return _settle(operation, OperationOutcome.NO_ACCESS, at=at)
    try:
        if is_sent and not kind.is_repeatable:
            found = _was_done(operation, kind, driver, call)
            return _settle(operation, OperationOutcome.DONE if found else OperationOutcome.NO_ANSWER, at=at)
        result = _send(operation, kind, driver, call)
    except (Refused, WrongState, NotOnNode) as error:
        return _settle(operation, OperationOutcome.REFUSED, message=_reason(error), at=at)
    except outside.Rejected as error:
        log.warning("%s of %s: %s", operation.kind, server.pk, error)
        return _settle(operation, OperationOutcome.REFUSED, at=at)
    return _settle(operation, OperationOutcome.DONE, result=result, at=at)


def _send(operation: Operation, kind: OperationKind, driver: Driver, call: Call) -> Any:
    """Carry it out. That it may have been is recorded before, and taken back where it certainly was not."""
    before = {"outcome": operation.outcome, "arguments": operation.arguments}
    if kind.makes is not None:
        listed = LISTINGS[kind.listing].read(driver, call)
        there = [each["ref"] for each in listed if kind.makes(each, call)]
        operation.arguments = {**operation.arguments, "before": there}
    rows = Operation.objects.filter(pk=operation.pk)
    rows.update(outcome=OperationOutcome.NO_ANSWER, arguments=operation.arguments)
    try:
        return kind.run(driver, call)
    except outside.Unavailable:
        rows.update(**before)
        raise


def _was_done(operation: Operation, kind: OperationKind, driver: Driver, call: Call) -> bool:
    """Whether what the act makes is there and was not before."""
    if kind.makes is None:
        return False
    before = operation.arguments.get("before", [])
    listed = LISTINGS[kind.listing].read(driver, call)
    return any(each["ref"] not in before and kind.makes(each, call) for each in listed)


def _reason(error: outside.OutsideError) -> str:
    """Why it was not done, for the customer."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, WrongState):
        return _("The server is busy with something else at the moment. Try again in a minute.")
    if isinstance(error, NotOnNode):
        return _("It was not found on the server's node.")
    return _("The server's node refused it. Please contact support.")


def _settle(
    operation: Operation, outcome: OperationOutcome, *, at: datetime, message: str = "", result: Any = None
) -> None:
    """Record the outcome, forget what was sent, and have what it changed read again."""
    kind = OPERATIONS[operation.kind]
    content = operation.content if kind.keeps_content and outcome != OperationOutcome.DONE else None
    with tenancy.as_worker():
        server = _with_provider(operation.server)
        if outcome != OperationOutcome.DONE:
            audit.record(
                action=f"server.{operation.kind}",
                entity=server,
                actor=operation.requested_by,
                new={"target": operation.target},
                outcome=Outcome.FAILED
                if outcome in {OperationOutcome.NOT_SENT, OperationOutcome.NO_ANSWER}
                else Outcome.REFUSED,
                message=message or str(outcome.label),
                at=at,
            )
        changed = [(listing, "") for listing in kind.changes]
        entered = {name: value for name, value in operation.arguments.items() if name != "before"}
        call = Call(server.identifier, operation.target, entered, operation.content, server.pk, result)
        if kind.changes_in:
            changed += kind.changes_in(call)
        may_be_done = outcome == OperationOutcome.NO_ANSWER and not kind.is_repeatable and kind.makes is None
        if kind.keep is not None and (outcome == OperationOutcome.DONE or may_be_done):
            kind.keep(server, call, at)  # locks the server, before what is work
            result = None
        elif outcome != OperationOutcome.DONE and not kind.is_repeatable:  # a part of it may have been done
            request_convergence(server_ids=[server.pk], at=at)
        Operation.objects.filter(pk=operation.pk).update(
            outcome=outcome, message=message or str(outcome.label), result=result, content=content
        )
        for listing, target in changed:
            _request_listing(server, listing, target, at=at)


def forget(*, at: datetime) -> int:
    """Delete what was read of servers a day ago, what operations could not send by then, and what they brought once no
    page shows it; how many rows.

    It may be secret, and a page that is opened again has it read again.
    """
    old = {"state__in": (WorkState.DONE, WorkState.DEAD), "finished_at__lt": at - KEPT_FOR}
    with tenancy.as_worker():
        deleted, _by_model = Listing.objects.filter(**old).delete()
        kept = Operation.objects.filter(**old).exclude(content__isnull=True, result__isnull=True)
        # Passwords and links, which no page shows any more.
        shown = Operation.objects.filter(requested_at__lt=at - SHOWN_FOR, result__isnull=False)
        return deleted + kept.update(content=None, result=None) + shown.update(result=None)
