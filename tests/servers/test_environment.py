"""The environment sent to the panel: defaults, blueprint and customer put together and checked."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.eggs import egg_file, environment
from servers.eggs.egg_file import EggFile
from servers.eggs.environment import merge

EGGS = Path(__file__).resolve().parents[2].parent / "shared" / "eggs"
needs_eggs = pytest.mark.skipif(
    not EGGS.is_dir(), reason="the collection of 250 exported eggs is not at ../shared/eggs"
)


@pytest.fixture(scope="module")
def collection() -> list[EggFile]:
    return [egg_file.parse(path.read_bytes(), source=path.name) for path in sorted(EGGS.glob("*.json"))]


@dataclass(frozen=True)
class Setting:
    env_variable: str
    default_value: str = ""
    rules: str = "nullable|string"
    is_user_viewable: bool = True
    is_user_editable: bool = True


VERSION = Setting("VERSION", "latest", "required|string|max:10")
SLOTS = Setting("SLOTS", "16", "required|integer|between:1,64", is_user_editable=False)
TOKEN = Setting("TOKEN", "", "required|string", is_user_viewable=False)
SETTINGS = (VERSION, SLOTS, TOKEN)


def objections(result: environment.Environment) -> list[tuple[str, str]]:
    return [(problem.env_variable, problem.rule) for problem in result.problems]


@pytest.mark.parametrize(
    ("overrides", "customer", "values", "problems"),
    [
        ({"TOKEN": "t"}, None, {"VERSION": "latest", "SLOTS": "16", "TOKEN": "t"}, []),
        ({}, None, {"VERSION": "latest", "SLOTS": "16", "TOKEN": ""}, [("TOKEN", "required")]),
        ({"TOKEN": "t", "SLOTS": "32"}, {"VERSION": "1.21"}, {"VERSION": "1.21", "SLOTS": "32", "TOKEN": "t"}, []),
        ({"TOKEN": "t", "VERSION": "1.20"}, {"VERSION": "1.21"}, {"VERSION": "1.21", "SLOTS": "16", "TOKEN": "t"}, []),
        ({"TOKEN": "t", "VERSION": "1.20"}, {}, {"VERSION": "1.20", "SLOTS": "16", "TOKEN": "t"}, []),
        # What a customer may not edit, may not see, or what is not there at all, stays as the shop set it.
        (
            {"TOKEN": "t"},
            {"SLOTS": "64", "TOKEN": "mine", "PATH": "/"},
            {"VERSION": "latest", "SLOTS": "16", "TOKEN": "t"},
            [("PATH", "unknown_variable"), ("SLOTS", "not_editable"), ("TOKEN", "not_editable")],
        ),
        (
            {"TOKEN": "t", "GONE": "1"},
            None,
            {"VERSION": "latest", "SLOTS": "16", "TOKEN": "t"},
            [("GONE", "unknown_variable")],
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
    result = merge(SETTINGS, overrides, customer)

    assert result.values == values
    assert objections(result) == problems
    assert result.is_acceptable == (problems == [])


def test_values_are_trimmed_as_the_panel_will() -> None:
    assert merge([VERSION], {"VERSION": " \u200b1.21\t"}).values == {"VERSION": "1.21"}


def test_of_two_variables_with_one_name_the_last_decides() -> None:
    result = merge([Setting("A", "x", "required|in:x"), Setting("A", "y", "required|in:y")], {})

    assert (result.values, result.problems) == ({"A": "y"}, [])


def test_a_rule_that_cannot_be_checked_is_told_but_does_not_refuse() -> None:
    result = merge([Setting("MAIL", "a@example.com", "required|email")], {})

    assert objections(result) == [("MAIL", "email")]
    assert result.is_acceptable


@needs_eggs
def test_as_on_the_panel_181_eggs_accept_their_own_defaults_and_69_do_not(collection: list[EggFile]) -> None:
    accepted = [merge(egg.variables, {}).is_acceptable for egg in collection]

    assert (accepted.count(True), accepted.count(False)) == (181, 69)


@needs_eggs
def test_as_on_the_panel_4_eggs_accept_an_empty_environment(collection: list[EggFile]) -> None:
    nothing = [dict.fromkeys((variable.env_variable for variable in egg.variables), "") for egg in collection]

    assert sum(merge(egg.variables, empty).is_acceptable for egg, empty in zip(collection, nothing, strict=True)) == 4


@needs_eggs
def test_whatever_a_customer_sends_the_result_is_the_eggs_variables_as_text(collection: list[EggFile]) -> None:
    for egg in collection:
        for value in ("", "0", "x" * 600, "true", "\u200b", "../../etc", "{{SERVER_MEMORY}}"):
            sent = {variable.env_variable: value for variable in egg.variables} | {"NOT_OF_THIS_EGG": value}
            result = merge(egg.variables, {}, sent)

            assert set(result.values) == {variable.env_variable for variable in egg.variables}
            assert all(isinstance(text, str) for text in result.values.values())
            assert ("NOT_OF_THIS_EGG", "unknown_variable") in objections(result)


@needs_eggs
def test_a_customer_never_changes_what_is_hidden_or_fixed(collection: list[EggFile]) -> None:
    for egg in collection:
        own = merge(egg.variables, {}).values
        changed = merge(egg.variables, {}, dict.fromkeys(own, "changed")).values
        open_names = {v.env_variable for v in egg.variables if v.is_user_viewable and v.is_user_editable}
        assert {name for name in own if changed[name] != own[name]} == open_names


@needs_eggs
def test_merging_a_finished_environment_again_changes_nothing(collection: list[EggFile]) -> None:
    for egg in collection:
        once = merge(egg.variables, {})
        again = merge(egg.variables, once.values)

        assert (again.values, objections(again)) == (once.values, objections(once))
