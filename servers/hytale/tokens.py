"""Access tokens of an account, and the refresh token behind them, which changes with each use.

It has one writer at a time, by an advisory lock that is kept over the call and its saving: of two who use one refresh
token, the second would be refused, and perhaps the account with it. A new one is saved before anything uses the access
token that came with it. After a lost answer the old one is tried once more, and never again.
"""

import logging
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from core import audit, outside, site_settings, tenancy, work
from servers import events
from servers.hytale import client
from servers.locks import advisory_lock
from servers.models import HytaleAccount, HytaleState

log = logging.getLogger(__name__)
MAX_UNANSWERED = 2
RETRY_LOST_AFTER = timedelta(minutes=1)
SPARE = timedelta(minutes=2)  # an access token that ends so soon is not used any more
REFRESH_BEFORE_END = timedelta(days=15)
TELL_BEFORE_END = timedelta(days=5)


def access_token(account: HytaleAccount, *, at: datetime, not_this: str = "") -> str:
    """An access token that works for some minutes, refreshed where necessary; another one than `not_this`.

    Raises Unavailable where there is none now, and Rejected where staff have to sign in.
    """
    row = account.reload()
    if is_fresh(row, at=at, not_this=not_this):
        return str(row.access_token)
    with advisory_lock(f"hytale:{account.pk}") as is_locked:
        if not is_locked:
            raise outside.Unavailable("the Hytale account is being refreshed", retry_after=2)
        row = account.reload()
        if not is_fresh(row, at=at, not_this=not_this):
            _refresh(row, at=at)
            row = account.reload()
        return str(row.access_token)


def is_fresh(account: HytaleAccount, *, at: datetime, not_this: str = "") -> bool:
    """Whether its access token can be used."""
    is_valid = account.access_until is not None and account.access_until > at + SPARE
    return is_valid and account.access_token != not_this


def _refresh(row: HytaleAccount, *, at: datetime) -> None:
    """Use the refresh token once. Recorded before the call, so that a process that dies has used it too."""
    if row.state != HytaleState.SIGNED_IN:
        raise outside.Rejected(_("Nobody is signed in with the Hytale account {name}.").format(name=row.name))
    # What a sign-in has replaced meanwhile is left alone.
    current = HytaleAccount.objects.filter(pk=row.pk, refreshed_at=row.refreshed_at)
    if row.unanswered_refreshes >= MAX_UNANSWERED:
        _need_sign_in(row, _("Hytale did not answer twice when the sign-in was renewed."), at=at)
        raise outside.Rejected("hytale: the sign-in was lost")
    if row.unanswered_refreshes and row.refresh_asked_at and at < row.refresh_asked_at + RETRY_LOST_AFTER:
        raise outside.Unavailable("the answer to the last refresh was lost", retry_after=60)
    count = row.unanswered_refreshes
    # A worker whose database session was cut off has lost the lock, too: this decides which of two goes on.
    if not current.filter(unanswered_refreshes=count).update(unanswered_refreshes=count + 1, refresh_asked_at=at):
        raise outside.Unavailable("the Hytale account is being refreshed", retry_after=2)
    try:
        answer = client.refresh(str(row.refresh_token))
    except outside.Rejected as error:
        if error.code == "invalid_grant":
            _need_sign_in(row, _("Hytale no longer accepts the sign-in."), at=at)
        else:
            current.update(unanswered_refreshes=count)
        raise
    except outside.Unavailable:
        current.update(unanswered_refreshes=count)
        raise
    save(row, answer, at=at)


def save(row: HytaleAccount, answer: client.Tokens, *, at: datetime) -> None:
    """Store what a refresh brought. The same refresh token again is as old as it was."""
    values = {
        "access_token": answer.access_token,
        "access_until": at + timedelta(seconds=answer.expires_in),
        "unanswered_refreshes": 0,
    }
    if answer.refresh_token and answer.refresh_token != row.refresh_token:
        values |= {"refresh_token": answer.refresh_token, "refreshed_at": at, "end_told_at": None}
    HytaleAccount.objects.filter(pk=row.pk, refreshed_at=row.refreshed_at).update(**values)


def _need_sign_in(row: HytaleAccount, problem: str, *, at: datetime) -> None:
    """Only a person can go on: staff are told, once."""
    with tenancy.as_worker():
        current = HytaleAccount.objects.filter(pk=row.pk, refreshed_at=row.refreshed_at, state=HytaleState.SIGNED_IN)
        nothing = {"refresh_token": None, "refreshed_at": None, "access_token": None, "access_until": None}
        if not current.update(state=HytaleState.SIGN_IN_NEEDED, problem=problem, unanswered_refreshes=0, **nothing):
            return
        audit.record(action="hytale.sign_in_needed", entity=row, actor=None, message=problem, at=at)
        events.hytale_sign_ins_needed.send(HytaleAccount, account_ids=[row.pk], at=at)


def ends_at(account: HytaleAccount) -> datetime | None:
    """When the sign-in ends unless it is renewed."""
    days = timedelta(days=site_settings.get("servers.hytale_sign_in_days"))
    return account.refreshed_at + days if account.refreshed_at else None


def renew_due(*, at: datetime) -> int:
    """Renew sign-ins that would end before long, and tell staff of those that could not be; how many were renewed."""
    lasting = timedelta(days=site_settings.get("servers.hytale_sign_in_days"))
    signed_in = HytaleAccount.objects.filter(state=HytaleState.SIGNED_IN)
    due = signed_in.filter(refreshed_at__lte=at + min(REFRESH_BEFORE_END, lasting / 2) - lasting)
    count = work.run_each(due, lambda account: access_token(account, at=at, not_this=_present(account)), name="renewal")
    ending = signed_in.filter(refreshed_at__lte=at + min(TELL_BEFORE_END, lasting / 2) - lasting, end_told_at=None)
    for account in ending.order_by("pk"):
        with tenancy.as_worker():
            if HytaleAccount.objects.filter(pk=account.pk, end_told_at=None).update(end_told_at=at):
                events.hytale_sign_ins_ending.send(HytaleAccount, account_ids=[account.pk], at=at)
    return count


def _present(account: HytaleAccount) -> str:
    """The access token that a renewal replaces."""
    return str(account.access_token or "")
