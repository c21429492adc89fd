"""What a browser without JavaScript reads from a page and sends back."""

import pytest

from demo.browser import Page, read_page
from demo.processes import DemoError

URL = "http://127.0.0.1:8000/order/mc-1gb/"


def page_of(html: str) -> Page:
    return read_page(URL, 200, html)


def sent(html: str, **answers: str) -> list[tuple[str, str]]:
    return page_of(html).forms[0].filled(answers)


def test_a_form_is_sent_as_the_page_has_it() -> None:
    html = """<form method="post"><input type="hidden" name="token" value="t"><input name="name" value="World">
        <input type="checkbox" name="news"><input type="checkbox" name="terms" checked value="yes">
        <select name="term"><option value="m">Month<option value="y" selected>Year</select>
        <textarea name="note">as it
is</textarea><input type="submit" name="go" value="Go"><button name="reprice" value="1">Update</button></form>"""

    assert sent(html) == [("token", "t"), ("name", "World"), ("terms", "yes"), ("term", "y"), ("note", "as it\nis")]


def test_an_answer_replaces_what_the_page_has() -> None:
    html = """<form><input name="name" value="World"><input type="radio" name="c" value="a" checked>
        <input type="radio" name="c" value="b"></form>"""

    assert sent(html, name="Mine", c="b") == [("name", "Mine"), ("c", "b")]


def test_a_choice_the_form_insists_on_is_made_once() -> None:
    html = """<form><input type="radio" name="plan" value="sold-out" disabled required>
        <input type="radio" name="plan" value="small" required><input type="radio" name="plan" value="big" required>
        <input type="checkbox" name="eula" required></form>"""

    assert sent(html) == [("plan", "small"), ("eula", "on")]


def test_a_choice_left_open_stays_open() -> None:
    assert sent('<form><input type="radio" name="addon" value="a"><input type="checkbox" name="news"></form>') == []


def test_addresses_are_read_as_a_browser_resolves_them() -> None:
    page = page_of('<a href="../games/">Games</a><form action="?step=2"></form><form></form>')

    assert page.links == ["http://127.0.0.1:8000/order/games/"]
    assert [form.action for form in page.forms] == [f"{URL}?step=2", URL]


def test_a_page_that_refreshes_itself_is_known() -> None:
    assert page_of('<noscript><meta http-equiv="refresh" content="5"></noscript>').is_refreshing
    assert not page_of('<meta name="viewport" content="width=device-width">').is_refreshing


def test_messages_are_read_whole() -> None:
    page = page_of(
        '<div role="alert">Not <b>this</b> <div>address</div>.</div><ul class="errorlist x"><li>Taken</li></ul>'
    )

    assert page.errors == ["Not this address .", "Taken"]


def test_a_missing_form_is_an_error_with_what_the_page_says() -> None:
    page = page_of('<p role="alert">Sold out.</p>')

    with pytest.raises(DemoError, match=r"no form that asks for 'plan'\. It says: Sold out\."):
        page.form_with("plan")
