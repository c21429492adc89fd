"""core.outside over real HTTP: which error each failure becomes, and what is never logged."""

import gzip
import logging
import socket
import threading
import time
from contextlib import suppress
from decimal import Decimal

import pytest
import requests

from core import outside
from tests.core.local_server import LocalServer, Reply, drop, reply, serving

TOKEN = "ptla_a-very-secret-token"


class Clock:
    """Monotonic seconds that only a test changes."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_session(server: LocalServer, **options: object) -> outside.OutsideSession:
    options = {
        "limits": outside.HostLimits(),
        "sleep": lambda _seconds: None,
        "read_timeout": 0.4,
        "connect_timeout": 0.4,
    } | options
    return outside.OutsideSession("panel", server.url, {"Authorization": f"Bearer {TOKEN}"}, **options)  # type: ignore[arg-type]


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_a_response_carries_parsed_json_with_decimals() -> None:
    with serving(reply(201, b'{"price": 0.1, "id": 7}', X_Trace="a")) as server:
        response = make_session(server).call("POST", "/servers", json={"name": "x"}, params={"page": 2})

    assert (response.status, response.body) == (201, {"price": Decimal("0.1"), "id": 7})
    assert response.headers["x-trace"] == "a"
    assert server.requests[0].startswith("POST /servers?page=2 HTTP/1.1")
    assert f"Authorization: Bearer {TOKEN}" in server.requests[0]
    assert server.requests[0].endswith('{"name": "x"}')


@pytest.mark.parametrize("status", [202, 204])
def test_no_content_is_a_response_without_body(status: int) -> None:
    with serving(reply(status, b"")) as server:
        assert make_session(server).call("POST", "/power").body is None


def test_a_refused_connection_means_that_nothing_happened(closed_port: str) -> None:
    session = outside.OutsideSession("panel", closed_port, limits=outside.HostLimits())
    with pytest.raises(outside.Unavailable):
        session.call("POST", "/servers")


def test_an_unresolvable_name_means_that_nothing_happened() -> None:
    session = outside.OutsideSession("panel", "http://no-such-host.invalid", limits=outside.HostLimits())
    with pytest.raises(outside.Unavailable):
        session.call("POST", "/servers")


def hang(_connection: socket.socket) -> None:
    time.sleep(1)


def half(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id":')


LOST_RESPONSES: dict[str, Reply] = {
    "dropped": drop,
    "hanging": hang,
    "cut in the body": half,
    "html": reply(200, b"<html>login</html>"),
    "nothing": reply(200, b""),
    "not a number": reply(200, b'{"a": NaN}'),
    "absurdly deep": reply(200, b"[" * 200_000),
    "too big": reply(200, b'"' + b"x" * 3000 + b'"'),
    "a bomb": reply(200, gzip.compress(b'"' + b"x" * 3_000_000 + b'"'), Content_Encoding="gzip"),
    "500": reply(500, b'{"errors": [{"code": "QueryException"}]}'),
    "502": reply(502, b"<html>"),
    "504": reply(504, b"{}"),
    "408": reply(408, b"{}"),
}


@pytest.mark.parametrize("kind", LOST_RESPONSES)
def test_a_lost_response_is_unknown_for_a_write_and_unavailable_for_a_read(kind: str) -> None:
    with serving(LOST_RESPONSES[kind]) as server:
        session = make_session(server, body_limit=2000)
        with pytest.raises(outside.Unknown):
            session.call("POST", "/servers")
        with pytest.raises(outside.Unavailable):
            session.call("GET", "/servers")
        assert len(server.requests) == 2


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0.2", 1), ("soon", None), ("-3", None), ("9e9", None)])
def test_too_many_requests_carries_how_long_to_wait(header: str, seconds: int | None) -> None:
    with (
        serving(reply(429, b'{"error": "slow down"}', Retry_After=header)) as server,
        pytest.raises(outside.Unavailable) as caught,
    ):
        make_session(server).call("POST", "/servers")
    assert (caught.value.status, caught.value.retry_after) == (429, seconds)


def test_a_retry_after_date_is_understood() -> None:
    with (
        serving(reply(503, b"", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT")) as server,
        pytest.raises(outside.Unavailable) as caught,
    ):
        make_session(server).call("POST", "/servers")
    assert caught.value.retry_after == 86_400


def test_a_vendor_may_promise_that_another_status_was_not_carried_out() -> None:
    with (
        serving(reply(504, b'{"errors": [{"code": "DaemonConnectionException"}]}')) as server,
        pytest.raises(outside.Unavailable) as caught,
    ):
        make_session(server, not_carried_out=frozenset({504})).call("POST", "/servers")
    assert caught.value.code == "DaemonConnectionException"


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 409, 422])
def test_a_rejection_carries_status_code_and_body(status: int) -> None:
    with (
        serving(reply(status, b'{"errors": [{"code": "Taken", "detail": "in use"}]}', Location="/elsewhere")) as server,
        pytest.raises(outside.Rejected) as caught,
    ):
        make_session(server).call("POST", "/servers")
    error = caught.value
    assert (error.status, error.code, error.body["errors"][0]["detail"]) == (status, "Taken", "in use")
    assert len(server.requests) == 1, "redirects are not followed"


def test_a_rejection_in_html_is_still_a_rejection() -> None:
    with serving(reply(404, b"<html>" + b"x" * 5000)) as server, pytest.raises(outside.Rejected) as caught:
        make_session(server, body_limit=2000).call("GET", "/servers/1")
    assert (caught.value.status, caught.value.body) == (404, {})


def test_secrets_reach_neither_errors_nor_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = f'{{"error": "bad token {TOKEN}", "api_key": "k-12345", "code": "{TOKEN}"}}'.encode()
    with serving(reply(403, body), drop) as server:
        session = make_session(server)
        with pytest.raises(outside.Rejected) as caught:
            session.call("POST", "/hooks/path-secret", params={"q": "query-secret"}, log_path="/hooks/…")
        with pytest.raises(outside.Unavailable) as dropped:
            session.call("GET", "/hooks/path-secret", params={"q": "query-secret"}, log_path="/hooks/…")
    shown = f"{caught.value} {caught.value.body} {caught.value.code} {dropped.value} {session!r} {caplog.text}"
    assert dropped.value.__suppress_context__
    for secret in (TOKEN, "k-12345", "path-secret", "query-secret"):
        assert secret not in shown
    assert "panel POST /hooks/… at 127.0.0.1: Rejected 403" in caplog.text


def test_cookies_are_not_stored() -> None:
    with serving(reply(200, b"{}", Set_Cookie="session=stolen; Path=/")) as server:
        session = make_session(server)
        session.call("GET", "/a")
        session.call("GET", "/b")
    assert "stolen" not in server.requests[1]


def test_only_a_repeatable_call_is_retried() -> None:
    with serving(reply(503, b""), reply(503, b""), reply(200, b'{"id": 1}')) as server:
        slept: list[float] = []
        session = make_session(server, sleep=slept.append)
        assert session.call("PUT", "/servers/1", is_repeatable=True).body == {"id": 1}
    assert len(server.requests) == 3
    assert len(slept) == 2

    with serving(reply(503, b"")) as server, pytest.raises(outside.Unavailable):
        make_session(server).call("GET", "/servers/1")
    assert len(server.requests) == 1


def test_retries_are_bounded_and_a_long_retry_after_ends_them() -> None:
    with serving(reply(503, b"")) as server:
        with pytest.raises(outside.Unavailable):
            make_session(server).call("GET", "/", is_repeatable=True)
        assert len(server.requests) == 3
    with serving(reply(429, b"", Retry_After="60")) as server:
        with pytest.raises(outside.Unavailable):
            make_session(server).call("GET", "/", is_repeatable=True)
        assert len(server.requests) == 1


def test_a_write_lost_once_stays_unknown_though_later_tries_did_nothing() -> None:
    with serving(drop, reply(503, b"")) as server, pytest.raises(outside.Unknown):
        make_session(server).call("PUT", "/servers/1", is_repeatable=True)


def test_the_circuit_breaker_opens_and_allows_one_probe() -> None:
    clock = Clock()
    limits = outside.HostLimits(breaker=outside.CircuitBreaker(threshold=3, cool_down=30, clock=clock))
    with serving(drop, drop, drop, drop, reply(200, b"{}")) as server:
        session = make_session(server, limits=limits)
        for _ in range(3):
            with pytest.raises(outside.Unknown):
                session.call("POST", "/")
        with pytest.raises(outside.Unavailable) as refused:
            session.call("POST", "/")
        assert (len(server.requests), refused.value.retry_after) == (3, 30)
        clock.now += 31
        with pytest.raises(outside.Unknown):
            session.call("POST", "/")  # the probe fails: open for another cool-down
        with pytest.raises(outside.Unavailable):
            session.call("POST", "/")
        clock.now += 31
        session.call("POST", "/")
        session.call("POST", "/")
        assert len(server.requests) == 6


def test_rejections_do_not_open_the_circuit_breaker() -> None:
    limits = outside.HostLimits(breaker=outside.CircuitBreaker(threshold=1))
    with serving(reply(422, b"{}")) as server:
        session = make_session(server, limits=limits)
        for _ in range(3):
            with pytest.raises(outside.Rejected):
                session.call("POST", "/")


def test_only_one_caller_gets_the_probe() -> None:
    clock = Clock()
    breaker = outside.CircuitBreaker(threshold=1, cool_down=30, clock=clock)
    breaker.record_failure()
    clock.now += 30
    assert breaker.seconds_to_wait() == 0
    assert breaker.seconds_to_wait() == 30


def test_the_number_of_concurrent_calls_is_limited() -> None:
    release = threading.Event()

    def wait(connection: socket.socket) -> None:
        release.wait(5)
        connection.sendall(reply(200, b"{}"))

    limits = outside.HostLimits(max_concurrent=1, acquire_timeout=0.05)
    with serving(wait) as server:
        session = make_session(server, limits=limits, read_timeout=5)
        first = threading.Thread(target=session.call, args=("GET", "/"))
        first.start()
        while not server.requests:
            time.sleep(0.005)
        with pytest.raises(outside.Unavailable, match="too many calls at once"):
            session.call("GET", "/")
        release.set()
        first.join()
        assert len(server.requests) == 1
        assert session.call("GET", "/").status == 200


def test_sessions_to_one_origin_share_its_limits() -> None:
    with serving(drop) as server:
        for _ in range(5):
            with pytest.raises(outside.Unavailable):
                outside.OutsideSession("panel", server.url).call("GET", "/")
        with pytest.raises(outside.Unavailable, match="not sent"):
            outside.OutsideSession("other key", server.url).call("GET", "/")
        assert len(server.requests) == 5


def test_a_slow_response_is_cut_off() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with suppress(OSError):  # the client hangs up
            for _ in range(100):
                connection.sendall(b"x" * 10_000)
                time.sleep(0.05)

    with serving(drip) as server:
        began = time.monotonic()
        with pytest.raises(outside.Unknown, match="took longer"):
            make_session(server, total_timeout=0.2).call("POST", "/")
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["servers", "//evil", "/a?b=c", "/a#b", "/a/../b", "/a b", "/a\r\nX: y", "/a\\b"])
def test_a_path_cannot_lead_elsewhere(path: str) -> None:
    with pytest.raises(ValueError, match="a path begins"):
        outside.OutsideSession("panel", "http://127.0.0.1:1").call("GET", path)


@pytest.mark.parametrize("address", ["ftp://x", "x", "http://", "https://x/?token=1"])
def test_a_base_address_must_be_http(address: str) -> None:
    with pytest.raises(ValueError, match="http"):
        outside.OutsideSession("panel", address)


def test_a_session_for_a_library_has_time_limits_and_follows_no_redirect() -> None:
    with serving(reply(302, b"", Location="http://127.0.0.1:1/")) as server:
        assert outside.requests_session().get(server.url, timeout=None).status_code == 302
    with serving(hang) as server, pytest.raises(requests.ReadTimeout):
        outside.requests_session(read_timeout=0.1).get(server.url)


def test_text_and_ignored_bodies_need_not_be_json() -> None:
    with serving(reply(200, "grün".encode(), Content_Type="text/plain; charset=utf-8")) as server:
        assert make_session(server).call("GET", "/log", expects=outside.Expect.TEXT).body == "grün"
        assert make_session(server).call("POST", "/x", expects=outside.Expect.NOTHING).body is None
