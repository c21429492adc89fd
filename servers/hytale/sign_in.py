"""Signing an account in: a worker gets a code, staff enter it on Hytale's page, and the worker asks until they have."""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from accounts.models import User
from core import audit, outside, tenancy, work
from core.models import WorkState
from core.work import Reschedule
from servers.hytale import client, tokens
from servers.models import HytaleAccount, HytaleSignIn, HytaleState, SignInOutcome

SLOWER_SECONDS = 5  # RFC 8628: added for good whenever we asked too soon
ENDINGS = {
    "access_denied": SignInOutcome.DENIED,
    "expired_token": SignInOutcome.EXPIRED,
    "invalid_grant": SignInOutcome.LOST,
}


def request_sign_in(*, account: HytaleAccount, actor: User, at: datetime) -> HytaleSignIn:
    """Have a worker get a code; one that is under way is shown again."""
    with tenancy.as_worker():
        HytaleAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        open_sign_in = HytaleSignIn.objects.filter(account=account, outcome="").first()
        if open_sign_in is not None and open_sign_in.state != WorkState.DEAD:
            return open_sign_in
        if open_sign_in is not None:
            _end(open_sign_in, SignInOutcome.REFUSED, problem=open_sign_in.last_error)
        audit.record(action="hytale.sign_in", entity=account, actor=actor, at=at)
        sign_in = HytaleSignIn.objects.create(account=account, requested_by=actor, requested_at=at, run_at=at)
        work.wake_worker(HytaleSignIn)
    return sign_in


def poll(sign_in: HytaleSignIn, *, at: datetime) -> Reschedule | None:
    """The handler: get a code, then ask at the given pace whether it was entered."""
    if sign_in.outcome:
        if sign_in.outcome == SignInOutcome.SIGNED_IN:
            list_profiles(sign_in.account, at=at)
        return None
    if not sign_in.user_code:
        return _begin(sign_in, at=at)
    if sign_in.expires_at is None or at >= sign_in.expires_at:
        _end(sign_in, SignInOutcome.EXPIRED)
        return None
    try:
        answer = client.redeem_device_code(str(sign_in.device_code))
    except outside.OutsideError as error:
        if error.code == "authorization_pending":
            return Reschedule(timedelta(seconds=sign_in.poll_seconds))
        if error.code == "slow_down":
            slower = sign_in.poll_seconds + SLOWER_SECONDS
            HytaleSignIn.objects.filter(pk=sign_in.pk).update(poll_seconds=slower)
            return Reschedule(timedelta(seconds=slower))
        if error.code in ENDINGS:
            _end(sign_in, ENDINGS[error.code])
            return None
        if isinstance(error, outside.Rejected):
            _end(sign_in, SignInOutcome.REFUSED, problem=str(error))
            return None
        raise  # asked again later; where the answer was lost, the code is used and the next answer says so
    if not answer.refresh_token:
        _end(sign_in, SignInOutcome.REFUSED, problem=_("Hytale gave no refresh token."))
        return None
    _keep(sign_in, answer, at=at)
    return Reschedule(timedelta(0))  # then its profiles are read


def _begin(sign_in: HytaleSignIn, *, at: datetime) -> Reschedule | None:
    try:
        begun = client.begin_sign_in()
    except outside.Rejected as error:
        _end(sign_in, SignInOutcome.REFUSED, problem=str(error))
        return None
    HytaleSignIn.objects.filter(pk=sign_in.pk).update(
        device_code=begun.device_code,
        user_code=begun.user_code,
        address=begun.address,
        poll_seconds=begun.interval,
        expires_at=at + timedelta(seconds=begun.expires_in),
    )
    return Reschedule(timedelta(seconds=begun.interval))


def _keep(sign_in: HytaleSignIn, answer: client.Tokens, *, at: datetime) -> None:
    """The account is signed in, whatever it was before."""
    with tenancy.as_worker():
        HytaleAccount.objects.filter(pk=sign_in.account_id).update(
            state=HytaleState.SIGNED_IN,
            problem="",
            refresh_token=answer.refresh_token,
            refreshed_at=at,
            refresh_asked_at=None,
            unanswered_refreshes=0,
            access_token=answer.access_token,
            access_until=at + timedelta(seconds=answer.expires_in),
            end_told_at=None,
        )
        _end(sign_in, SignInOutcome.SIGNED_IN)
        audit.record(action="hytale.signed_in", entity=sign_in.account, actor=sign_in.requested_by, at=at)


def _end(sign_in: HytaleSignIn, outcome: SignInOutcome, problem: str = "") -> None:
    """Record how it ended, and forget the code."""
    ended = {"outcome": outcome, "device_code": None, "problem": problem[:255]}
    HytaleSignIn.objects.filter(pk=sign_in.pk, outcome="").update(**ended)


def list_profiles(account: HytaleAccount, *, at: datetime) -> None:
    """Read the account's profiles. One that is chosen and no longer there is not chosen any more."""
    listed = client.profiles(tokens.access_token(account, at=at))
    known = {each["uuid"] for each in listed}
    problem = "" if listed else _("It has no profile: it does not own the game, or nobody made one there.")
    row = account.reload()
    profile = row.profile if row.profile in known else ""
    HytaleAccount.objects.filter(pk=row.pk).update(profiles=listed, profile=profile, problem=problem)


def choose_profile(*, account: HytaleAccount, profile: str, actor: User, at: datetime) -> None:
    """With which profile the account's servers run from their next start on. ValueError for one that is not listed."""
    with tenancy.as_worker():
        locked = HytaleAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if profile not in {each["uuid"] for each in locked.profiles}:
            raise ValueError("the account has no such profile")
        HytaleAccount.objects.filter(pk=locked.pk).update(profile=profile)
        old, new = {"profile": locked.profile}, {"profile": profile}
        audit.record(action="hytale.profile", entity=locked, actor=actor, old=old, new=new, at=at)
