"""Game sessions: opened right before a start, ended with the stop, and never more than an account may have.

A slot is taken, by a row under the account's lock, before Hytale is asked. It is free again when Hytale says that the
session has ended, or when the session cannot live any longer: an hour after the last time it may have been renewed.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q

from core import outside, site_settings, tenancy, work
from core.models import WorkState
from core.work import Reschedule
from servers import events
from servers.drivers.abilities import HiddenVariables, Power, UsageFigures
from servers.drivers.base import Driver, PowerState
from servers.hytale import client, sign_in, tokens
from servers.hytale.variables import IDENTITY, SESSION, needs_session
from servers.live.usage import usage_of
from servers.models import (
    HytaleAccount,
    HytaleSession,
    HytaleState,
    PowerOutcome,
    PowerStatus,
    Server,
    ServerStatus,
    SessionStatus,
)

log = logging.getLogger(__name__)
REUSED_FOR = timedelta(minutes=10)
LOOK_EVERY = timedelta(minutes=10)
FULL_FOR = timedelta(minutes=10)  # where Hytale refuses another session although we count fewer
RENEWED_BEFORE_END = timedelta(minutes=10)
MAX_LOST = 2  # answers, of one server in an hour
FILLING_PERCENT, NOT_FILLING_PERCENT = 80, 70


class NoSession(outside.Unavailable):
    """The server cannot be started now; `retry_at` is when it can, where that is known."""

    def __init__(self, outcome: PowerOutcome, *, at: datetime, retry_at: datetime | None = None) -> None:
        wait = int((retry_at - at).total_seconds()) if retry_at else None
        super().__init__(str(outcome.label), retry_after=wait)
        self.outcome, self.retry_at = outcome, retry_at


def starts_with_session(server: Server, driver: Driver | Power) -> bool:
    """Whether the shop starts and signs in the server: its egg takes the tokens, and its provider keeps them hidden."""
    return isinstance(driver, HiddenVariables) and isinstance(driver, Power) and needs_session(server)


def runs_with_session(server: Server, driver: Driver | Power) -> bool:
    """Whether the server is on, with a session of its own: then a start changes nothing, and needs no other."""
    is_open = server.hytale_sessions.filter(status=SessionStatus.OPEN, identity_token__isnull=True).exists()
    on = {PowerState.STARTING, PowerState.RUNNING}
    return is_open and isinstance(driver, UsageFigures) and driver.usage(server.identifier).power_state in on


def prepare_start(server: Server, driver: Driver | Power, *, at: datetime) -> None:
    """Give the server tokens for its next start, where the shop signs it in. To be called right before each start.

    Raises NoSession; also Unavailable and Unknown, after which a start may be tried again.
    """
    if not isinstance(driver, HiddenVariables) or not starts_with_session(server, driver):
        return
    known = server.hytale_sessions.filter(status=SessionStatus.OPEN)
    # What a start that was interrupted has opened and not used.
    unused = known.filter(identity_token__isnull=False, requested_at__gt=at - REUSED_FOR)
    session = unused.order_by("-requested_at").first()
    if session is None:
        _refuse_too_often(server, at=at)
        try:
            session = _take_slot(server, at=at)
        except NoSession:  # the server's own last one makes room
            own = known.order_by("requested_at").first()
            if own is None or not _end(own, at=at):
                raise
            session = _take_slot(server, at=at)
        session = _open(session, at=at)
    values = {SESSION: str(session.session_token), IDENTITY: str(session.identity_token)}
    driver.set_hidden_variables(server.ref, values)


def _refuse_too_often(server: Server, *, at: datetime) -> None:
    """A server that crashes in a loop, or answers that are lost, would use up an account's slots. Raises NoSession."""
    refused = Q(status=SessionStatus.ENDED, expires_at=None)
    rows = server.hytale_sessions.filter(requested_at__gt=at - timedelta(hours=1)).exclude(refused)
    recent = list(rows.order_by("requested_at"))
    lost = [each for each in recent if each.status == SessionStatus.REQUESTED]
    for found, limit in ((recent, site_settings.get("servers.hytale_starts_per_hour")), (lost, MAX_LOST)):
        if len(found) >= limit:
            retry_at = found[-limit].requested_at + timedelta(hours=1)
            raise NoSession(PowerOutcome.TOO_OFTEN, at=at, retry_at=retry_at)


def _take_slot(server: Server, *, at: datetime) -> HytaleSession:
    """The row of a session that may now be asked for, of the account with the most free slots. Raises NoSession."""
    usable = HytaleAccount.objects.filter(is_active=True, state=HytaleState.SIGNED_IN).exclude(profile="")
    free = F("slots") - Count("sessions", filter=Q(sessions__ended_at=None))
    accounts = list(usable.annotate(free=free).order_by("-free", "name"))
    if not accounts:
        raise NoSession(PowerOutcome.NO_SIGN_IN, at=at)
    possible_at = []
    for account in accounts:
        with tenancy.as_worker():
            # Counted under the account's lock, so that two starts do not take the last slot.
            locked = HytaleAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
            held = [session.slot_until for session in locked.sessions.filter(ended_at=None)]
            if locked.full_until is not None and locked.full_until > at:
                possible_at.append(locked.full_until)
            elif len(held) >= locked.slots:
                possible_at.append(max(min(held), at + timedelta(minutes=1)))
            else:
                _tell_of_filling(locked, len(held) + 1, at=at)
                until = at + client.SESSION_LIFE
                times = {"requested_at": at, "slot_until": until, "run_at": until}
                return HytaleSession.objects.create(account=locked, server=server, profile=locked.profile, **times)
    raise NoSession(PowerOutcome.NO_SLOT, at=at, retry_at=min(possible_at))


def _tell_of_filling(account: HytaleAccount, taken: int, *, at: datetime) -> None:
    """Once when few slots are left, and again only after there were more."""
    percent = 100 * taken // account.slots
    rows = HytaleAccount.objects.filter(pk=account.pk)
    if percent >= FILLING_PERCENT and rows.filter(filling_told_at=None).update(filling_told_at=at):
        events.hytale_slots_filling.send(HytaleAccount, account_ids=[account.pk], at=at)
    elif percent < NOT_FILLING_PERCENT and account.filling_told_at:
        rows.update(filling_told_at=None)


def _open(session: HytaleSession, *, at: datetime) -> HytaleSession:
    """Ask Hytale for it; a second time with another access token where the first is refused.

    Raises NoSession; Unavailable where the account is full, so that the next try finds another; and Unknown.
    """
    account = session.account
    try:
        token = _access_token(account, at=at)
        try:
            opened = client.open_session(token, session.profile, at=at)
        except outside.Rejected as error:
            if error.status != 401:
                raise
            token = _access_token(account, at=at, not_this=token)
            opened = client.open_session(token, session.profile, at=at)
    except outside.Unknown:
        raise  # it may exist, so it takes its slot until it can no longer live
    except outside.OutsideError as error:
        _record_end(session, at=at)
        if not isinstance(error, outside.Rejected):
            raise
        log.warning("a Hytale session of server %s was refused: %s", session.server_id, error)
        if error.status in {403, 404}:
            _tell_cause(account, at=at)
        raise NoSession(PowerOutcome.NO_SIGN_IN, at=at) from None
    values: dict[str, Any] = {"session_token": opened.session_token, "identity_token": opened.identity_token}
    values |= {"expires_at": opened.expires_at, "slot_until": opened.expires_at, "status": SessionStatus.OPEN}
    rows = HytaleSession.objects.filter(pk=session.pk, status=SessionStatus.REQUESTED)
    rows.update(**values, run_at=at + LOOK_EVERY)
    return session.reload()


def _access_token(account: HytaleAccount, *, at: datetime, not_this: str = "") -> str:
    """Whatever becomes of a refresh, no session was asked for yet."""
    try:
        return tokens.access_token(account, at=at, not_this=not_this)
    except outside.Unknown as error:
        raise outside.Unavailable(str(error)) from None
    except outside.Rejected:
        raise NoSession(PowerOutcome.NO_SIGN_IN, at=at) from None


def _tell_cause(account: HytaleAccount, *, at: datetime) -> None:
    """A refusal says neither that the account may not do it nor that it is full: its profiles tell, and we tell staff.

    Raises Unavailable where it is full.
    """
    sign_in.list_profiles(account, at=at)
    account = account.reload()
    with tenancy.as_worker():
        if not account.profile:
            events.hytale_sign_ins_needed.send(HytaleAccount, account_ids=[account.pk], at=at)
            return
        HytaleAccount.objects.filter(pk=account.pk).update(full_until=at + FULL_FOR)
        _tell_of_filling(account, account.slots, at=at)
    raise outside.Unavailable("hytale: the account has no free session, though fewer are counted here")


def mark_started(server: Server, *, is_restart: bool, at: datetime) -> None:
    """The server was told to start with its newest session. The one that it ran with before a restart is ended."""
    rows = server.hytale_sessions.filter(status=SessionStatus.OPEN)
    newest = rows.order_by("-requested_at").first()
    if newest is None:
        return
    if is_restart:
        request_end(server, but=newest, at=at)
    HytaleSession.objects.filter(pk=newest.pk).update(identity_token=None)


def request_end(server: Server, *, at: datetime, but: HytaleSession | None = None) -> None:
    """Have the server's sessions ended that are known, because it is stopped, suspended or deleted."""
    rows = HytaleSession.objects.filter(server=server, status=SessionStatus.OPEN)
    with tenancy.within_worker():
        queued = rows.exclude(pk=but.pk) if but else rows
        if queued.update(status=SessionStatus.ENDING, run_at=at, state=WorkState.QUEUED, lease_until=None):
            work.wake_worker(HytaleSession)


def review(session: HytaleSession, *, at: datetime) -> Reschedule | None:
    """The handler: end what is to end, and count what may still live."""
    if session.status == SessionStatus.ENDED:
        return None
    if session.status == SessionStatus.ENDING and at < session.slot_until:
        _end(session, at=at)
        session = session.reload()
        return None if session.status == SessionStatus.ENDED else Reschedule(session.slot_until - at)
    if session.status == SessionStatus.OPEN and session.server.status == ServerStatus.RUNNING:
        latest = usage_of(session.server, at=at).latest
        later = HytaleSession.objects.filter(server=session.server_id, requested_at__gt=session.requested_at)
        is_left = later.filter(status=SessionStatus.OPEN, identity_token__isnull=True).exists()
        if not is_left and (latest is None or latest.power_state != PowerStatus.OFF):
            # The server runs with it, as far as is known, and renews it shortly before it ends.
            rows = HytaleSession.objects.filter(pk=session.pk, status=SessionStatus.OPEN)
            rows.update(slot_until=max(session.slot_until, at + client.SESSION_LIFE))
            return Reschedule(LOOK_EVERY)
    if at < session.slot_until:
        return Reschedule(min(session.slot_until - at, LOOK_EVERY))
    _record_end(session, at=at)
    return None


def _end(session: HytaleSession, *, at: datetime) -> bool:
    """End it at Hytale; whether its slot is free.

    A token that is not known there is that of an ended session. But where it is about to be over, its server may have
    renewed the session under a token that only it knows: then the slot is free when that is over, too.
    """
    try:
        client.end_session(str(session.session_token))
    except outside.Rejected as error:
        may_be_renewed = session.expires_at is None or session.expires_at <= at + RENEWED_BEFORE_END
        if error.status not in {401, 404} or may_be_renewed:
            lapsing = {"status": SessionStatus.LAPSING, "slot_until": at + client.SESSION_LIFE}
            HytaleSession.objects.filter(pk=session.pk).update(**lapsing, session_token=None, identity_token=None)
            return False
    _record_end(session, at=at)
    return True


def _record_end(session: HytaleSession, *, at: datetime) -> None:
    """Its slot is free, and nothing of it is secret any more."""
    gone = {"session_token": None, "identity_token": None}
    HytaleSession.objects.filter(pk=session.pk).update(status=SessionStatus.ENDED, ended_at=at, **gone)
