"""Egg variables and their rules, with the eggs of the seed and, where they are present, real ones."""

from pathlib import Path

import pytest

from sandbox.pterodactyl.errors import ValidationError
from sandbox.pterodactyl.validation import validate_environment
from tests.sandbox.pterodactyl_panel import PanelUnderTest

REAL_EGGS = Path(__file__).resolve().parents[3] / "shared" / "eggs"
SEEDED = {39, 50, 15, 34, 16, 14, 21, 29, 26, 32, 33}


def is_accepted(rules: str, value: object) -> bool:
    """Whether a variable with these rules takes a value."""
    try:
        validate_environment({"X": value}, [("X", rules)])
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        ("required", "x", ""),
        ("nullable|string|max:3", "", "xxxx"),
        ("Nullable|STRING", "", 5),
        ("string", "x", ""),
        ("required|string|", "x", 5),
        ("integer", "-3", "3.0"),
        ("required|int", "7", "07"),
        ("numeric", "1e3", "1x"),
        ("boolean", "1", "true"),
        ("boolean", "0", ""),
        ("max:30", "", "x" * 31),
        ("numeric|max:30", "30", "31"),
        ("min:2", "ab", ""),
        ("between:1,5", "abcde", ""),
        ("integer|between:1,5", "5", "6"),
        ("size:2", "ab", "abc"),
        ("in:,beta", "beta", "alpha"),
        ("nullable|in:,beta", "", "alpha"),
        ('in:"a,b",c', "a,b", "a"),
        ("in:1", "1.0", "2"),
        ("not_in:anonymous", "", "anonymous"),
        (r"regex:/^([\w\d._-]+)(\.jar)$/", "a.jar", "a.zip"),
        (r"regex:/^A$/i", "a", ""),
        (r"not_regex:/^\d+$/", "a1", "11"),
        ("alpha_dash", "ä-_1", "a b"),
        ("alpha_num", "a1", "a-1"),
        ("digits:3", "123", "12"),
        ("digits_between:1,3", "1", "1234"),
        ("integer|gt:0", "1", "0"),
        ("url", "https://host.test/x?y", "host.test"),
        ("present", "", None),
    ],
)
def test_a_variable_is_validated_by_its_rules(rules: str, good: object, bad: object) -> None:
    assert is_accepted(rules, good)
    if rules != "present":
        assert not is_accepted(rules, bad)


def test_missing_variables_are_stored_empty_and_unknown_names_dropped() -> None:
    stored = validate_environment({"A": "x", "OTHER": "y"}, [("A", "required"), ("B", "nullable|string")])

    assert stored == {"A": "x", "B": ""}


def test_of_rules_for_one_name_the_last_count() -> None:
    assert validate_environment({"A": "x"}, [("A", "integer"), ("A", "string")]) == {"A": "x"}


def test_the_seed_has_every_game_under_the_id_the_shop_knows(panel: PanelUnderTest) -> None:
    nests = panel.application("GET", "/nests?include=eggs").json()["data"]
    eggs = [egg["attributes"] for nest in nests for egg in nest["attributes"]["relationships"]["eggs"]["data"]]

    assert {egg["id"] for egg in eggs} >= SEEDED
    assert all(egg["docker_images"] and egg["startup"] for egg in eggs)
    assert {egg["config"]["logs"] == [] for egg in eggs} == {True}


def test_some_seeded_eggs_refuse_their_own_defaults_as_real_ones_do(panel: PanelUnderTest) -> None:
    panel.set(rate_limits={"application": 10_000, "client": 720})
    accepted = {egg for egg in SEEDED if create_with_defaults(panel, egg) == 201}

    assert {39, 16, 34, 29, 26} == accepted


def create_with_defaults(panel: PanelUnderTest, egg_id: int, nest_id: int | None = None) -> int:
    """The status of a create that sends an egg's own defaults; the server is deleted again."""
    nests = [nest_id] if nest_id else range(1, 6)
    answers = [panel.application("GET", f"/nests/{nest}/eggs/{egg_id}?include=variables") for nest in nests]
    egg = next(answer.json()["attributes"] for answer in answers if answer.ok)
    variables = [each["attributes"] for each in egg["relationships"]["variables"]["data"]]
    return create_with(panel, egg_id, {each["env_variable"]: each["default_value"] for each in variables})


def create_with(panel: PanelUnderTest, egg_id: int, environment: dict[str, str]) -> int:
    """The status of a create with these variables; the server is deleted again."""
    body = panel.server_body(egg=egg_id, environment=environment, allocation={"default": 1})
    answer = panel.application("POST", "/servers", body)
    if answer.ok:
        panel.application("DELETE", f"/servers/{answer.json()['attributes']['id']}")
    else:
        assert all(each["meta"]["source_field"].startswith("environment.") for each in answer.json()["errors"])
    return answer.status_code


@pytest.mark.skipif(not REAL_EGGS.is_dir(), reason="no folder ../shared/eggs with exported eggs beside the project")
def test_of_250_real_eggs_181_take_their_own_defaults_69_are_422_and_4_take_nothing_at_all(
    panel: PanelUnderTest,
) -> None:
    panel.set(rate_limits={"application": 10_000, "client": 720})
    imported = panel.control("POST", "/pterodactyl/eggs", {"folder": str(REAL_EGGS), "nest": "Imported"})
    ids = [egg["id"] for egg in imported["eggs"]]
    shown = panel.application("GET", f"/nests/{imported['nest']}/eggs?include=variables").json()["data"]

    with_defaults, with_nothing = [], []
    for egg in shown:
        variables = [each["attributes"] for each in egg["attributes"]["relationships"]["variables"]["data"]]
        defaults = {each["env_variable"]: each["default_value"] for each in variables}
        with_defaults.append(create_with(panel, egg["attributes"]["id"], defaults))
        with_nothing.append(create_with(panel, egg["attributes"]["id"], {}))

    assert len(ids) == len(set(ids)) == len(shown) == 250
    assert (with_defaults.count(201), with_defaults.count(422)) == (181, 69)
    assert (with_nothing.count(201), with_nothing.count(422)) == (4, 246)
