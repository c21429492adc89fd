"""The environment sent to the panel: defaults, blueprint and customer put together and checked."""

import json
from pathlib import Path
from typing import Any

import pytest

from servers.eggs import environment
from servers.eggs.environment import merge
from servers.models import EggVariable

EGGS = Path(__file__).resolve().parents[2].parent / "shared" / "eggs"
needs_eggs = pytest.mark.skipif(
    not EGGS.is_dir(), reason="the collection of 250 exported eggs is not at ../shared/eggs"
)


def as_stored(default: Any) -> str:
    """A default as the panel stores it."""
    if isinstance(default, bool):
        return str(int(default))
    return "" if default is None else str(default)


def make_variable(name: str, default: str = "", rules: str = "nullable|string", **fields: bool) -> EggVariable:
    return EggVariable(env_variable=name, default_value=default, rules=rules, **fields)


@pytest.fixture(scope="module")
def collection() -> list[list[EggVariable]]:
    """The variables of each egg."""
    eggs = [json.loads(path.read_text(encoding="utf-8-sig")) for path in sorted(EGGS.glob("*.json"))]
    return [
        [
            make_variable(
                each["env_variable"],
                as_stored(each["default_value"]),
                each["rules"],
                is_user_viewable=bool(each["user_viewable"]),
                is_user_editable=bool(each["user_editable"]),
            )
            for each in egg["variables"]
        ]
        for egg in eggs
    ]


VARIABLES = (
    make_variable("VERSION", "latest", "required|string|max:10"),
    make_variable("SLOTS", "16", "required|integer|between:1,64", is_user_editable=False),
    make_variable("TOKEN", "", "required|string", is_user_viewable=False),
)


def problems_of(result: environment.Environment) -> list[tuple[str, str]]:
    return [(problem.env_variable, problem.rule) for problem in result.problems]


@pytest.mark.parametrize(
    ("overrides", "customer", "values", "problems"),
    [
        ({"TOKEN": "t"}, None, {"VERSION": "latest", "SLOTS": "16", "TOKEN": "t"}, []),
        ({}, None, {"VERSION": "latest", "SLOTS": "16", "TOKEN": ""}, [("TOKEN", "required")]),
        ({"TOKEN": "t", "SLOTS": "32"}, {"VERSION": "1.21"}, {"VERSION": "1.21", "SLOTS": "32", "TOKEN": "t"}, []),
        ({"TOKEN": "t", "VERSION": "1.20"}, {"VERSION": "1.21"}, {"VERSION": "1.21", "SLOTS": "16", "TOKEN": "t"}, []),
        ({"TOKEN": "t", "VERSION": "1.20"}, {}, {"VERSION": "1.20", "SLOTS": "16", "TOKEN": "t"}, []),
        # What a customer may not edit, may not see, or what does not exist stays as the shop set it.
        (
            {"TOKEN": "t"},
            {"SLOTS": "64", "TOKEN": "mine", "PATH": "/"},
            {"VERSION": "latest", "SLOTS": "16", "TOKEN": "t"},
            [("SLOTS", "not_editable"), ("TOKEN", "not_editable"), ("PATH", "unknown_variable")],
        ),
        (
            {"TOKEN": "t", "REMOVED": "1"},
            None,
            {"VERSION": "latest", "SLOTS": "16", "TOKEN": "t"},
            [("REMOVED", "unknown_variable")],
        ),
        (
            {"TOKEN": "t"},
            {"VERSION": " "},
            {"VERSION": "", "SLOTS": "16", "TOKEN": "t"},
            [("VERSION", "required")],
        ),
        (
            {"TOKEN": "t", "SLOTS": "100"},
            {"VERSION": "far too long"},
            {"VERSION": "far too long", "SLOTS": "100", "TOKEN": "t"},
            [("VERSION", "max"), ("SLOTS", "between")],
        ),
    ],
)
def test_defaults_blueprint_and_customer_are_put_together(
    overrides: dict[str, str],
    customer: dict[str, str] | None,
    values: dict[str, str],
    problems: list[tuple[str, str]],
) -> None:
    result = merge(VARIABLES, overrides, customer)

    assert result.values == values
    assert problems_of(result) == problems


def test_values_are_trimmed_as_the_panel_will() -> None:
    assert merge(VARIABLES, {"TOKEN": " 1.21\t"}).values["TOKEN"] == "1.21"


def test_of_two_variables_with_one_name_the_last_decides() -> None:
    result = merge([make_variable("A", "x", "required|in:x"), make_variable("A", "y", "required|in:y")], {})

    assert (result.values, result.problems) == ({"A": "y"}, [])


@needs_eggs
def test_as_on_the_panel_181_eggs_accept_their_own_defaults_and_69_do_not(collection: list[list[EggVariable]]) -> None:
    accepted = [not merge(variables, {}).problems for variables in collection]

    assert (accepted.count(True), accepted.count(False)) == (181, 69)


@needs_eggs
def test_as_on_the_panel_4_eggs_accept_an_empty_environment(collection: list[list[EggVariable]]) -> None:
    nothing = [dict.fromkeys((variable.env_variable for variable in variables), "") for variables in collection]
    results = [merge(variables, empty) for variables, empty in zip(collection, nothing, strict=True)]

    assert sum(not result.problems for result in results) == 4


@needs_eggs
def test_whatever_a_customer_sends_the_result_is_the_eggs_variables_as_text(
    collection: list[list[EggVariable]],
) -> None:
    for variables in collection:
        for value in ("", "0", "x" * 600, "true", "\u200b", "../../etc", "{{SERVER_MEMORY}}"):
            sent = {variable.env_variable: value for variable in variables} | {"NOT_OF_THIS_EGG": value}
            result = merge(variables, {}, sent)

            assert set(result.values) == {variable.env_variable for variable in variables}
            assert all(isinstance(text, str) for text in result.values.values())
            assert ("NOT_OF_THIS_EGG", "unknown_variable") in problems_of(result)


@needs_eggs
def test_a_customer_never_changes_what_is_hidden_or_fixed(collection: list[list[EggVariable]]) -> None:
    for variables in collection:
        own = merge(variables, {}).values
        changed = merge(variables, {}, dict.fromkeys(own, "changed")).values
        open_names = {each.env_variable for each in variables if each.is_user_viewable and each.is_user_editable}
        assert {name for name in own if changed[name] != own[name]} == open_names


@needs_eggs
def test_merging_a_finished_environment_again_changes_nothing(collection: list[list[EggVariable]]) -> None:
    for variables in collection:
        once = merge(variables, {})
        again = merge(variables, once.values)

        assert (again.values, problems_of(again)) == (once.values, problems_of(once))
