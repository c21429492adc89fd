"""Staff sign a Hytale account in, and its refresh token is used by one process at a time and saved before use."""

from contextlib import suppress
from datetime import datetime, timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from core import outside
from core.models import WorkState
from core.tenancy import as_worker
from sandbox.client import Sandbox
from servers import events
from servers.hytale import client, sign_in, tokens
from servers.models import HytaleAccount, HytaleSignIn, HytaleState, SignInOutcome
from tests.builders import make_staff
from tests.servers.hytale import BASES, Hytale
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "POST /oauth2/token"


@pytest.fixture
def hytale(sandbox: Sandbox, settings: Any) -> Hytale:
    for name in BASES:
        setattr(settings, name, sandbox.hytale_url)
    return Hytale(sandbox)


@pytest.fixture
def told() -> Any:
    """The accounts that staff were told about, by the event."""
    heard: list[tuple[str, Any]] = []
    receivers = {}
    for name in ("hytale_sign_ins_needed", "hytale_sign_ins_ending", "hytale_slots_filling"):

        def receive(name: str = name, **sent: Any) -> None:
            heard.append((name, sent["account_ids"]))

        receivers[name] = receive
        getattr(events, name).connect(receive)
    yield heard
    for name, receive in receivers.items():
        getattr(events, name).disconnect(receive)


def test_staff_are_shown_a_code_and_the_account_is_signed_in_once_it_was_approved(hytale: Hytale) -> None:
    account = hytale.make_account()
    row = hytale.begin(account)
    assert row.user_code in row.address
    assert row.state == WorkState.QUEUED
    hytale.later(seconds=5)
    hytale.run()  # nobody has answered yet
    assert not row.reload().outcome

    hytale.sandbox.hytale_change("decide", user_code=row.user_code, answer="approved")
    hytale.later(seconds=5)
    hytale.run()

    account = account.reload()
    assert (row.reload().outcome, row.reload().device_code) == (SignInOutcome.SIGNED_IN, None)
    assert account.state == HytaleState.SIGNED_IN
    assert [each["username"] for each in account.profiles] == ["ExampleHost"]
    assert account.profile == ""  # staff choose it
    sign_in.choose_profile(account=account, profile=account.profiles[0]["uuid"], actor=make_staff(), at=hytale.at)
    assert account.reload().profile_name == "ExampleHost"
    with pytest.raises(ValueError, match="no such profile"):
        sign_in.choose_profile(account=account, profile="other", actor=make_staff(), at=hytale.at)


def test_a_second_press_shows_the_code_of_the_first(hytale: Hytale) -> None:
    account = hytale.make_account()

    assert hytale.begin(account) == hytale.begin(account)


def test_asking_too_soon_slows_the_worker_down_for_good(hytale: Hytale) -> None:
    row = hytale.begin(hytale.make_account())
    hytale.later(seconds=5)
    hytale.run()
    hytale.sandbox.hytale_change("settings", interval=8)

    hytale.later(seconds=5)
    hytale.run()

    row = row.reload()
    assert (row.poll_seconds, row.run_at) == (10, hytale.at + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("answer", "seconds", "outcome"),
    [("denied", 5, SignInOutcome.DENIED), ("", 900, SignInOutcome.EXPIRED), ("approved", 5, SignInOutcome.LOST)],
)
def test_a_sign_in_that_comes_to_nothing_says_why(hytale: Hytale, answer: str, seconds: int, outcome: str) -> None:
    row = hytale.begin(hytale.make_account())
    if answer:
        hytale.sandbox.hytale_change("decide", user_code=row.user_code, answer=answer)
    if outcome == SignInOutcome.LOST:
        hytale.sandbox.arm("hytale", TOKEN, "lose_answer")
        hytale.later(seconds=5)
        hytale.run()
        assert not row.reload().outcome

    hytale.later(seconds=seconds)
    hytale.run()

    assert row.reload().outcome == outcome
    assert row.reload().state == WorkState.DONE
    assert hytale.begin(row.account) != row  # and can be begun again


def test_an_address_that_is_not_hytales_is_shown_to_nobody(hytale: Hytale, settings: Any) -> None:
    assert client.is_trusted_address("https://accounts.hytale.com/device?user_code=KPLT-4821")
    for address in (
        "http://accounts.hytale.com/device",
        "https://hytale.com.example.org/device",
        "https://nothytale.com/device",
        "https://hytale.com@example.org/",
        "https://example.org\\.hytale.com/",
        "https://accounts.hytale.com:8443/",
        "javascript:alert(1)//hytale.com",
        "https://[hytale.com/",
        f"https://hytale.com/{'x' * 500}",
    ):
        assert not client.is_trusted_address(address), address
    account = hytale.make_account()
    settings.HYTALE_OAUTH_BASE = "https://oauth.accounts.stage.example"
    assert client.is_trusted_address("https://accounts.stage.example/device?user_code=KPLT-4821")
    assert not client.is_trusted_address("https://other.stage.example/device")
    settings.HYTALE_OAUTH_BASE = hytale.sandbox.hytale_url.replace("127.0.0.1", "localhost")

    row = hytale.begin(account)

    assert (row.outcome, row.address, row.user_code) == (SignInOutcome.REFUSED, "", "")


def test_a_new_refresh_token_is_saved_before_its_access_token_is_used(hytale: Hytale) -> None:
    account = hytale.sign_in()
    first = account.refresh_token
    hytale.later(hours=1)

    token = tokens.access_token(account, at=hytale.at)

    account = account.reload()
    assert account.refresh_token != first
    assert account.access_token == token
    asked = hytale.asked(TOKEN)
    assert tokens.access_token(account, at=hytale.at) == token
    assert hytale.asked(TOKEN) == asked  # it is cached


def test_of_two_refreshes_at_once_one_is_made(hytale: Hytale, monkeypatch: pytest.MonkeyPatch) -> None:
    account = hytale.sign_in()
    hytale.sandbox.hytale_change("settings", revokes_on_reuse=True)
    hytale.later(hours=1)
    asked, all_of_them, refresh = hytale.asked(TOKEN), Barrier(4), tokens._refresh

    def refresh_together(row: HytaleAccount, *, at: datetime) -> None:
        with suppress(BrokenBarrierError):
            all_of_them.wait(0.5)  # without a lock each has read the row by now
        refresh(row, at=at)

    monkeypatch.setattr(tokens, "_refresh", refresh_together)

    errors = run_at_once(lambda: tokens.access_token(account, at=hytale.at), times=4)

    assert all(isinstance(error, outside.Unavailable) for error in errors)
    assert hytale.asked(TOKEN) == asked + 1
    assert account.reload().state == HytaleState.SIGNED_IN
    assert tokens.access_token(account, at=hytale.at)


def test_a_lost_answer_is_asked_for_once_more_and_then_staff_have_to_sign_in(hytale: Hytale, told: Any) -> None:
    account = hytale.sign_in()
    hytale.later(hours=1)
    hytale.sandbox.arm("hytale", TOKEN, "lose_answer")
    with pytest.raises(outside.Unknown):
        tokens.access_token(account, at=hytale.at)
    with pytest.raises(outside.Unavailable):
        tokens.access_token(account, at=hytale.at)  # not at once
    assert account.reload().state == HytaleState.SIGNED_IN

    hytale.later(minutes=1)
    for _ in range(2):
        with pytest.raises(outside.Rejected):
            tokens.access_token(account, at=hytale.at)

    account = account.reload()
    assert account.state == HytaleState.SIGN_IN_NEEDED
    assert account.refresh_token is account.access_token is None
    assert told == [("hytale_sign_ins_needed", [account.pk])]


def test_where_tokens_do_not_rotate_a_lost_answer_costs_nothing(hytale: Hytale) -> None:
    hytale.sandbox.hytale_change("settings", rotates=False)
    account = hytale.sign_in()
    since = account.refreshed_at
    hytale.later(hours=1)
    hytale.sandbox.arm("hytale", TOKEN, "lose_answer")
    with pytest.raises(outside.Unknown):
        tokens.access_token(account, at=hytale.at)
    hytale.later(minutes=1)

    assert tokens.access_token(account, at=hytale.at)

    assert account.reload().refreshed_at == since  # the same token is no younger
    assert account.reload().unanswered_refreshes == 0


def test_hytale_is_not_asked_a_third_time_without_an_answer(hytale: Hytale, told: Any) -> None:
    account = hytale.sign_in()
    hytale.sandbox.arm("hytale", TOKEN, "status", status=500, times=0)
    for _ in range(2):
        hytale.later(hours=1)
        with pytest.raises(outside.Unknown):
            tokens.access_token(account, at=hytale.at)
    asked = hytale.asked(TOKEN)
    hytale.later(hours=1)

    with pytest.raises(outside.Rejected):
        tokens.access_token(account, at=hytale.at)

    assert hytale.asked(TOKEN) == asked
    assert told == [("hytale_sign_ins_needed", [account.pk])]


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_to_do_anything_now_is_not_a_lost_answer(hytale: Hytale, status: int) -> None:
    account = hytale.sign_in()
    hytale.sandbox.arm("hytale", TOKEN, "status", status=status, times=5, headers={"Retry-After": "30"})
    for _ in range(5):
        hytale.later(hours=1)
        with pytest.raises(outside.Unavailable) as error:
            tokens.access_token(account, at=hytale.at)
        assert error.value.retry_after in {30, None}

    hytale.later(minutes=5)
    assert account.reload().unanswered_refreshes == 0


@pytest.mark.parametrize("rotates", [True, False])
def test_killed_between_the_refresh_and_its_saving_the_old_token_is_tried_once(
    hytale: Hytale, monkeypatch: pytest.MonkeyPatch, *, rotates: bool, told: Any
) -> None:
    hytale.sandbox.hytale_change("settings", rotates=rotates)
    account = hytale.sign_in()
    hytale.later(hours=1)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(tokens, "save", die)
        with pytest.raises(KeyboardInterrupt):
            tokens.access_token(account, at=hytale.at)
    assert account.reload().unanswered_refreshes == 1
    hytale.later(minutes=1)

    if rotates:  # nobody knows the new one
        with pytest.raises(outside.Rejected):
            tokens.access_token(account, at=hytale.at)
        assert told == [("hytale_sign_ins_needed", [account.pk])]
    else:
        assert tokens.access_token(account, at=hytale.at)


def test_a_sign_in_during_a_refresh_is_not_undone_by_it(hytale: Hytale, monkeypatch: pytest.MonkeyPatch) -> None:
    account = hytale.sign_in()
    hytale.later(hours=1)
    refresh = client.refresh

    def refresh_late(token: str) -> client.Tokens:
        answer = refresh(token)
        hytale.later(seconds=1)
        with as_worker():
            HytaleAccount.objects.filter(pk=account.pk).update(refresh_token="rt_new", refreshed_at=hytale.at)
        return answer

    monkeypatch.setattr(client, "refresh", refresh_late)
    tokens.access_token(account, at=hytale.at)

    assert account.reload().refresh_token == "rt_new"


def test_a_sign_in_is_renewed_halfway_and_staff_are_told_before_one_ends(hytale: Hytale, told: Any) -> None:
    account = hytale.sign_in()
    hytale.later(days=14)
    assert tokens.renew_due(at=hytale.at) == 0
    hytale.later(days=1, minutes=1)

    assert tokens.renew_due(at=hytale.at) == 1

    assert account.reload().refreshed_at == hytale.at
    hytale.sandbox.arm("hytale", TOKEN, "status", status=503, times=0)
    hytale.later(days=25)
    for _ in range(2):
        assert tokens.renew_due(at=hytale.at) == 0
    assert told == [("hytale_sign_ins_ending", [account.pk])]
    hytale.sandbox.clear_faults()
    hytale.later(days=5)
    tokens.renew_due(at=hytale.at)  # too late: thirty days are over
    assert told[-1] == ("hytale_sign_ins_needed", [account.pk])
    assert account.reload().state == HytaleState.SIGN_IN_NEEDED


def test_an_account_without_the_game_says_so(hytale: Hytale) -> None:
    hytale.sandbox.hytale_change("accounts/empty", profiles=[])
    account = hytale.make_account()
    row = hytale.begin(account)
    hytale.sandbox.hytale_change("decide", user_code=row.user_code, answer="approved", account="empty")
    hytale.later(seconds=5)
    hytale.run()

    assert "does not own the game" in account.reload().problem
    assert HytaleSignIn.objects.get().state == WorkState.DONE
