"""The rules of egg variables: judged as the panel does, or left to it."""

import pytest

from servers.eggs import rules


def broken(rule_list: str, value: str) -> list[str]:
    return [violation.rule for violation in rules.violations(rule_list, value)]


PASSING = [
    ("required|string|max:5", "héllo"),
    ("Required|STRING|Max:5|", "hello"),
    ("required|integer|max:5", "5"),
    ("required|int|max:128", "+12"),
    ("string|integer|max:16", " 16 "),
    ("required|string|max:2", "99"),
    ("required|numeric|between:0.1,64", "0.10"),
    ("required|numeric|min:0", "1e3"),
    ("required|numeric", "-.5"),
    ("required|numeric", "3."),
    ("required|between:1,10", "ten chars!"),
    ("required|string|min:0|max:65535", "25565"),
    ("boolean", "0"),
    ("bool|in:0,1", "1"),
    ("in:1", "1.0"),
    ("in:a,b", "b"),
    ('in:"a,b",c', "a,b"),
    ("in:gta:iii,gta:vc", "gta:vc"),
    ("regex:/^([\\w\\d._-]+)(\\.jar)$/", "server-1.21.jar"),
    ("regex:/^[A-Za-z0-9\\-_ ]+$/", "a-b_c d"),
    ("regex:/^(a|b)$/", "b"),
    ("regex:/^abc$/i", "ABC"),
    ("regex:#^a/b$#", "a/b"),
    ("regex:/^(?=.*[0-9])(?!.*\\s).{3,}$/", "ab1"),
    ("regex:/^(?:\\d{1,3}\\.){3}\\d{1,3}$/", "10.0.0.1"),
    ("nullable|string|min:28", ""),
    ("nullable|integer|max:0", " \t"),
    ("nullable", ""),
    ("max:30", ""),
    ("in:,beta", ""),
]

FAILING = [
    ("required|string|max:20", "", ["required"]),
    ("required|string|max:20", " \t\u3000", ["required"]),
    ("nullable|required|string", "", ["required"]),
    ("string|max:30", "", ["string"]),
    ("boolean", "", ["boolean"]),
    ("boolean", "true", ["boolean"]),
    ("numeric|between:1,3", "", ["numeric", "between"]),
    ("regex:/^a*$/", "", ["regex"]),
    ("required|string|max:3", "1234", ["max"]),
    ("required|integer|max:3", "1234", ["max"]),
    ("required|integer|max:3", "12.5", ["integer", "max"]),
    ("required|integer", "007", ["integer"]),
    ("required|integer", "1e3", ["integer"]),
    ("integer|between:1024,65535", "80", ["between"]),
    # Text that is no number is measured by its length even beside `integer`.
    ("integer|between:1,3", "four", ["integer", "between"]),
    ("numeric", "0x1A", ["numeric"]),
    ("numeric", "٣", ["numeric"]),
    ("in:1", "10", ["in"]),
    ("in:True,False", "true", ["in"]),
    ("in", "x", ["in"]),
    ("regex:/^\\d+$/", "12a", ["regex"]),
    ("numeric|min:1.5", "1.49", ["min"]),
    ("string|max:2|in:a", "long", ["max", "in"]),
]


@pytest.mark.parametrize(("rule_list", "value"), PASSING)
def test_a_value_the_panel_accepts_passes(rule_list: str, value: str) -> None:
    assert broken(rule_list, value) == []


@pytest.mark.parametrize(("rule_list", "value", "names"), FAILING)
def test_a_value_the_panel_refuses_breaks_the_same_rules(rule_list: str, value: str, names: list[str]) -> None:
    assert broken(rule_list, value) == names


@pytest.mark.parametrize(
    "rule_list",
    [
        "required|email",
        "alpha_num",
        "not_in:a b",
        "not_regex:/ /",
        "size:2",
        "max:many|between:1|min",
        "regex:/^ä$/",
        "required|regex:/^(x|y)$/",  # cut in two at the "|", as on the panel
        "regex:^x$",
        "regex:/^x$/u",
        "regex:/(?R)/",
        "regex:/\\p{Lu}/",
        "regex:/^[[:digit:]]+$/",
        "regex:/[z-y]/",
        "regex:/^([x-z]+)*$/",
        "regex:/^(x*){9}$/",
        "regex:/(x/",
    ],
)
def test_an_unknown_or_unusual_rule_is_left_to_the_panel(rule_list: str) -> None:
    assert broken(rule_list, "a b") == []


@pytest.mark.parametrize("value", ["ä", "a" * (rules.MAX_MATCHED_LENGTH + 1)])
def test_a_value_that_is_not_ascii_or_very_long_is_matched_only_by_the_panel(value: str) -> None:
    assert broken("regex:/^x$/", value) == []


@pytest.mark.parametrize(
    ("rule_list", "value", "sentence"),
    [
        ("required", "", "This value is required."),
        ("string", "", "This value must not be empty."),
        ("integer", "x", "Enter a whole number."),
        ("numeric", "x", "Enter a number."),
        ("boolean", "x", "Enter 1 for yes or 0 for no."),
        ("string|max:20", "a" * 21, "Enter at most 20 characters."),
        ("integer|max:20", "21", "Enter at most 20."),
        ("string|min:2", "a", "Enter at least 2 characters."),
        ("numeric|min:2", "1", "Enter at least 2."),
        ("numeric|between:1,10", "11", "Enter a number from 1 to 10."),
        ("between:3,12", "ab", "Enter 3 to 12 characters."),
        ("in:,a,b", "c", "Choose one of these: a, b."),
        ("regex:/^{a}$/", "b", ""),
        ("regex:/^a$/", "b", "This value does not match the pattern /^a$/."),
    ],
)
def test_a_broken_rule_says_in_a_sentence_what_to_enter(rule_list: str, value: str, sentence: str) -> None:
    assert "".join(str(violation.message) for violation in rules.violations(rule_list, value)) == sentence
