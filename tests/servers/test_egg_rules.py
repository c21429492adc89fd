"""Rule lists of egg variables: read and judged as the panel does."""

import itertools
import re

import pytest

from servers.eggs import checks, php, preg, rules


def broken(rule_list: str, value: str | None) -> list[str]:
    return [violation.rule for violation in rules.violations(rules.parse(rule_list), value)]


@pytest.mark.parametrize(
    ("rule_list", "names"),
    [
        ("required|string|max:20", ["required", "string", "max"]),
        ("string|", ["string"]),
        ("|required||", ["required"]),
        ("Nullable|STRING|Max:30", ["nullable", "string", "max"]),
        ("NotIn:a|alphaDash|digits-between:1,3", ["not_in", "alpha_dash", "digits_between"]),
        ("required|int|bool", ["required", "integer", "boolean"]),
        ("nullable:string", ["nullable"]),
        ("", []),
        ("required|Frobnicate:3", ["required", "frobnicate"]),
    ],
)
def test_a_rule_list_is_read_in_order_whatever_its_spelling(rule_list: str, names: list[str]) -> None:
    assert [rule.name for rule in rules.parse(rule_list)] == names


@pytest.mark.parametrize(
    ("rule", "parameters"),
    [
        ("in:,beta", ("", "beta")),
        ('in:"a,b",c', ("a,b", "c")),
        ("in:gta:iii,gta:vc", ("gta:iii", "gta:vc")),
        ("in:", ("",)),
        ("in", ()),
        ("regex:/^a{1,3}:b$/", ("/^a{1,3}:b$/",)),
        ("regex:/^(a|b)$/", ("/^(a|b)$/",)),
    ],
)
def test_parameters_are_split_at_commas_but_never_inside_a_pattern(rule: str, parameters: tuple[str, ...]) -> None:
    assert [entry.parameters for entry in rules.parse(rule)] == [parameters]


PASSING = [
    ("required|string|max:5", "héllo"),
    ("required|integer|max:5", "5"),
    ("required|integer|max:128", "+12"),
    ("string|integer|max:16", " 16 "),
    ("required|string|max:2", "99"),
    ("required|numeric|between:0.1,64", "0.10"),
    ("required|numeric|min:0", "1e3"),
    ("required|numeric", "-.5"),
    ("required|numeric", "3."),
    ("required|between:1,10", "ten chars!"),
    ("required|string|min:0|max:65535", "25565"),
    ("required|string|size:3", "abc"),
    ("numeric|size:3", "3.0"),
    ("integer|gt:0", "1"),
    ("gt:5", "6"),
    ("gte:5|lte:5|lt:6", "5"),
    ("boolean", "0"),
    ("boolean|in:0,1", "1"),
    ("in:1", "1.0"),
    ("in:a,b", "b"),
    ("not_in:anonymous", "someone"),
    ("regex:/^([\\w\\d._-]+)(\\.jar)$/", "server-1.21.jar"),
    ("regex:/^[A-Za-z0-9\\-_ ]+$/", "a-b_c d"),
    ("not_regex:/^\\d+$/", "12a"),
    ("regex:/^(a|b)$/", "b"),
    ("alpha_dash", "größe_1-2"),
    ("alpha_num", "Äö7"),
    ("digits:1", "7"),
    ("numeric|digits_between:1,3", "090"),
    ("url", "https://user:pw@example.com:8080/a%20b/c.zip?x=1#top"),
    ("url", "http://[2001:db8::1]/"),
    ("url", "http://localhost"),
    ("nullable|string|min:28", ""),
    ("nullable|integer|gt:0", None),
    ("nullable", ""),
    ("present", ""),
    ("max:30", ""),
    ("in:,beta", ""),
    ("Nullable|string|max:30", "\u200b \t"),
    ("integer", "-9223372036854775808"),
]

FAILING = [
    ("required|string|max:20", "", ["required"]),
    ("required|string|max:20", None, ["required"]),
    ("required|string|max:20", " \t\u3000\ufeff", ["required"]),
    ("nullable|required|string", "", ["required"]),
    ("string|required|max:3", "", ["string", "required"]),
    ("string|max:30", "", ["string"]),
    ("boolean", "", ["boolean"]),
    ("boolean", "true", ["boolean"]),
    ("alpha_dash|between:1,100", "", ["alpha_dash", "between"]),
    ("numeric|digits_between:1,3", "", ["numeric", "digits_between"]),
    ("url", "", ["url"]),
    ("regex:/^a*$/", "", ["regex"]),
    ("not_regex:/a/", "", ["not_regex"]),
    ("gt:0", "", ["gt"]),
    ("required|string|max:3", "1234", ["max"]),
    ("required|integer|max:3", "1234", ["max"]),
    ("required|integer|max:3", "12.5", ["integer", "max"]),
    ("required|integer", "007", ["integer"]),
    ("required|integer", "1e3", ["integer"]),
    ("integer", "9223372036854775808", ["integer"]),
    ("integer|between:1024,65535", "80", ["between"]),
    # Text that is no number is measured by its length even beside `integer`.
    ("integer|between:1,3", "four", ["integer", "between"]),
    ("numeric", "0x1A", ["numeric"]),
    ("numeric", "٣", ["numeric"]),
    ("numeric|max:5", "1e99999", ["max"]),
    ("required|string|size:32", "short", ["size"]),
    ("in:1", "10", ["in"]),
    ("in:True,False", "true", ["in"]),
    ("in", "x", ["in"]),
    ("not_in:anonymous", "anonymous", ["not_in"]),
    ("regex:/^\\w+$/", "größe", ["regex"]),
    ("not_regex:/^\\d+$/", "12", ["not_regex"]),
    ("alpha_num", "a b", ["alpha_num"]),
    ("alpha", "a1", ["alpha"]),
    ("digits:1", "12", ["digits"]),
    ("digits_between:1,3", "-12", ["digits_between"]),
    ("gt:5", "five", ["gt"]),
    ("gt:5", "5", ["gt"]),
    ("lt:5", "5", ["lt"]),
    ("gte:5|lte:7", "4", ["gte"]),
    ("lt:5|lte:5", "6", ["lt", "lte"]),
    ("numeric|min:1.5", "1.49", ["min"]),
    ("url", "example.com", ["url"]),
    ("url", "javascript:alert(1)", ["url"]),
    ("url", "http://exa mple.com/", ["url"]),
    ("url", "http://[::zz]/", ["url"]),
    ("bail|string|max:2|in:a", "long", ["max"]),
    ("string|max:2|in:a", "long", ["max", "in"]),
]


@pytest.mark.parametrize(("rule_list", "value"), PASSING)
def test_a_value_the_panel_takes_passes(rule_list: str, value: str | None) -> None:
    assert broken(rule_list, value) == []


@pytest.mark.parametrize(("rule_list", "value", "names"), FAILING)
def test_a_value_the_panel_refuses_breaks_the_same_rules(rule_list: str, value: str | None, names: list[str]) -> None:
    assert broken(rule_list, value) == names


@pytest.mark.parametrize(
    ("rule_list", "names"),
    [
        ("required|email|max:5", ["email"]),
        ("required|max|between:1", ["max", "between"]),
        ("max:many", ["max"]),
        ("gt:OTHER_FIELD", ["gt"]),
        ("required|regex:/^(a|b)$/", ["regex", "b)$/"]),
        ("regex:/^a|b$/|max:3", ["regex"]),
        ("regex:^a$", ["regex"]),
        ("required|regex:/(?R)/", ["regex"]),
        ("not_regex:/\\p{L}/u", ["not_regex"]),
        ("regex:/^([a-z]+)*$/", ["regex"]),
        ("required|nullable|present|string", []),
    ],
)
def test_a_rule_that_cannot_be_applied_is_named(rule_list: str, names: list[str]) -> None:
    assert rules.unknown_rules(rules.parse(rule_list)) == names


def test_a_rule_that_cannot_be_applied_is_reported_beside_the_others_and_marked() -> None:
    found = rules.violations(rules.parse("required|email|max:3"), "someone")

    assert [(violation.rule, violation.is_unchecked) for violation in found] == [("email", True), ("max", False)]
    assert "email" in str(found[0].message)


def test_an_unknown_rule_does_not_run_for_a_value_that_may_be_null_and_is() -> None:
    assert broken("nullable|email", "") == []


@pytest.mark.parametrize(
    ("rule_list", "value", "sentence"),
    [
        ("required", "", "This value is required."),
        ("string|max:1", "ab", "Use at most 1 character."),
        ("string|max:20", "a" * 21, "Use at most 20 characters."),
        ("integer|max:20", "21", "Enter at most 20."),
        ("numeric|between:1,10", "11", "Enter a number from 1 to 10."),
        ("between:3,12", "ab", "Use 3 to 12 characters."),
        ("in:,a,b", "c", "Choose one of these: a, b."),
        ("digits:1", "12", "Enter exactly 1 digit."),
        ("regex:/^{a}$/", "b", "This value does not match the pattern /^{a}$/."),
    ],
)
def test_a_broken_rule_says_in_a_sentence_what_to_enter(rule_list: str, value: str, sentence: str) -> None:
    assert [str(violation.message) for violation in rules.violations(rules.parse(rule_list), value)] == [sentence]


def test_the_refusals_above_cover_every_rule() -> None:
    assert {name for _rules, _value, names in FAILING for name in names} == set(checks.CHECKS)


@pytest.mark.parametrize(("rule_list", "value", "names"), FAILING)
def test_every_refusal_is_a_whole_sentence(rule_list: str, value: str | None, names: list[str]) -> None:
    for violation in rules.violations(rules.parse(rule_list), value):
        sentence = str(violation.message)
        assert sentence[0].isupper(), sentence
        assert sentence.endswith("."), sentence
        assert "{" not in sentence, sentence


@pytest.mark.parametrize("name", [name for name in checks.CHECKS if name != "required"])
def test_a_null_that_is_allowed_is_never_judged_further(name: str) -> None:
    parameters = {"regex": "/./", "not_regex": "/^$/"}.get(name, "7,9")

    assert broken(f"nullable|{name}:{parameters}", "") == []


VALUES = ["", "0", "1", "-1", "2.50", "10", "1e2", "64", "65535", "abc", "a b", "ä", " 7 ", "0x10", "٣", "x" * 300]


def test_between_is_min_and_max_together_for_numbers_and_for_lengths() -> None:
    for kind, least, most, value in itertools.product(["numeric", "string"], range(0, 70, 7), range(0, 70, 9), VALUES):
        both = {"min", "max"} & set(broken(f"{kind}|min:{least}|max:{most}", value))
        assert bool(both) == ("between" in broken(f"{kind}|between:{least},{most}", value)), (kind, least, most, value)


def test_not_in_is_the_opposite_of_in() -> None:
    for size in range(1, 3):
        for choices in itertools.combinations(VALUES, size):
            for value in VALUES:
                listed = ",".join(choices)
                assert bool(broken(f"in:{listed}", value)) != bool(broken(f"not_in:{listed}", value))


def test_spelling_and_empty_parts_never_change_a_verdict() -> None:
    for (rule_list, value), spell in itertools.product(
        [(rule_list, value) for rule_list, value in PASSING if "regex" not in rule_list and "in:" not in rule_list],
        [str.upper, str.title, str.swapcase, lambda text: f"|{text}||", lambda text: text.replace("_", "-")],
    ):
        assert broken(spell(rule_list), value) == []


def test_a_literal_pattern_finds_its_own_text_with_any_delimiter() -> None:
    letters = "aZ0 .-[](){}^$|*+?#&~ä"
    for text in map("".join, itertools.product(letters, repeat=3)):
        for delimiter, closing in (("/", "/"), ("~", "~"), ("{", "}")):
            escaped = "".join(f"\\{letter}" if not letter.isalnum() else letter for letter in text)
            assert preg.translate(f"{delimiter}^{escaped}${closing}").matches(text), (text, delimiter)


@pytest.mark.parametrize(
    ("expression", "text", "is_match"),
    [
        ("/^abc$/i", "ABC", True),
        ("#^a/b$#", "a/b", True),
        ("(^(a)$)", "a", True),
        ("/b/A", "ab", False),
        ("/^a$/", "a\n", True),
        ("/^a$/D", "a\n", False),
        ("/^a\\z/", "a\n", False),
        ("/^a\\Z/", "a\n", True),
        ("/^b$/m", "a\nb", True),
        ("/a.b/", "a\nb", False),
        ("/a.b/s", "a\nb", True),
        ("/^\\w$/", "ä", False),
        ("/^\\w$/u", "ä", True),
        # Its two bytes, read one by one, would both be letters of Latin-1.
        ("/^\\w+$/", "ê", False),
        ("/^.$/", "ä", False),
        ("/^..$/", "ä", True),
        ("/^.$/u", "ä", True),
        ("/^ä$/", "ä", True),
        ("/^[\\w.-]+[\\w-]$/", "a-b.c-", True),
        # PHP has refused a dash between a class escape and another member since 7.3.
        ("/^[\\w-.]+$/", "a-b.c", None),
        ("/^[]a]+$/", "]a", True),
        ("/^[[&&~~||]+$/", "[&~|", True),
        ("/^a{,2}$/", "a{,2}", True),
        ("/^a{2}$/", "aa", True),
        ("/^(?<x>a)(?P=x)?/", "a", None),
        ("/^(?<x>a)\\1$/", "aa", True),
        ("/^\\x41\\h$/", "A\t", True),
        ("/^a++b$/", "aab", True),
        ("/^(?=.*[0-9])(?!.*\\s).{3,}$/", "ab1", True),
        ("/^(?:\\d{1,3}\\.){3}\\d{1,3}$/", "10.0.0.1", True),
        ("/^([a-z0-9]{32} ?)*$/", "a" * 32 + " " + "b" * 32, True),
        ("/^[[:alpha:]]+$/", "a", None),
        ("/\\v/", "a", None),
        ("/a/x", "a", None),
        ("/a/e", "a", None),
        ("/a", "a", None),
        ("a", "a", None),
        ("", "a", None),
        ("/[z-a]/", "a", None),
        ("/(a/", "a", None),
        ("/a)/", "a", None),
        ("/[a/", "a", None),
        ("/(\\w+\\s?)+$/", "a", None),
        ("/(?:(a{1,50}))*$/", "a", None),
        ("/(*COMMIT)a/", "a", None),
        ("/(?i)a/", "a", None),
        ("/*a/", "a", None),
    ],
)
def test_a_php_expression_matches_the_same_text_or_is_refused(
    *, expression: str, text: str, is_match: bool | None
) -> None:
    if is_match is None:
        with pytest.raises(preg.Untranslatable):
            preg.translate(expression)
    else:
        assert preg.translate(expression).matches(text) is is_match


def test_an_overlong_text_matches_no_pattern() -> None:
    assert not preg.translate("/./").matches("a" * (preg.MAX_MATCHED_CHARACTERS + 1))


def test_whole_numbers_are_numeric_and_equal_themselves_however_written() -> None:
    for value in range(-300, 300, 7):
        for spelling in (str(value), f"{value}.0", f"{value}e0", f" {value}"):
            assert php.is_numeric(spelling)
            assert php.loosely_equal(spelling, str(value))
            assert php.is_integer(spelling) == bool(re.fullmatch(r" ?-?\d+", spelling))
