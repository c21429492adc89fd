"""Exported egg files: read whole, oddities named, unusable ones refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from servers.eggs import egg_file, rules
from servers.eggs.egg_file import EggFile, EggInvalid

EGGS = Path(__file__).resolve().parents[2].parent / "shared" / "eggs"
needs_eggs = pytest.mark.skipif(
    not EGGS.is_dir(), reason="the collection of 250 exported eggs is not at ../shared/eggs"
)


@pytest.fixture(scope="module")
def collection() -> dict[str, EggFile]:
    return {path.name: egg_file.parse(path.read_bytes(), source=path.name) for path in sorted(EGGS.glob("*.json"))}


def make_variable(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Server Jar",
        "description": "The file to run.",
        "env_variable": "SERVER_JARFILE",
        "default_value": "server.jar",
        "user_viewable": True,
        "user_editable": False,
        "rules": "required|string|max:20",
    } | changes


def make_export(**changes: Any) -> dict[str, Any]:
    return {
        "meta": {"version": "PTDL_v2", "update_url": None},
        "name": "Paper",
        "author": "someone@example.com",
        "description": "A game.",
        "features": ["eula"],
        "docker_images": {"Java 21": "example/java:21", "Java 17": "example/java:17"},
        "file_denylist": [],
        "startup": "java -jar {{SERVER_JARFILE}}",
        "config": {"files": "{}", "startup": '{"done": "ready"}', "logs": "{}", "stop": "stop"},
        "scripts": {"installation": {"script": "exit 0", "container": "example/alpine", "entrypoint": "ash"}},
        "variables": [make_variable()],
    } | changes


def parse(export: Any) -> EggFile:
    return egg_file.parse(json.dumps(export), source="paper.json")


def test_an_export_is_read_field_by_field() -> None:
    egg = parse(make_export())

    assert (egg.version, egg.name, egg.author, egg.features) == ("PTDL_v2", "Paper", "someone@example.com", ("eula",))
    assert list(egg.docker_images.items()) == [("Java 21", "example/java:21"), ("Java 17", "example/java:17")]
    assert (egg.startup, egg.config.stop, egg.config.startup) == (
        "java -jar {{SERVER_JARFILE}}",
        "stop",
        '{"done": "ready"}',
    )
    assert (egg.script.installation, egg.script.container, egg.script.entrypoint) == ("exit 0", "example/alpine", "ash")
    (variable,) = egg.variables
    assert (variable.name, variable.env_variable, variable.default_value) == (
        "Server Jar",
        "SERVER_JARFILE",
        "server.jar",
    )
    assert (variable.is_user_viewable, variable.is_user_editable) == (True, False)
    assert variable.rules == "required|string|max:20"
    assert egg.warnings == ()


@pytest.mark.parametrize(
    ("old", "images"),
    [
        ({"image": "a"}, {"a": "a"}),
        ({"images": ["b", "a"]}, {"b": "b", "a": "a"}),
        ({"images": {"B": "b"}}, {"B": "b"}),
        ({"docker_images": {"C": "c"}, "image": "a"}, {"C": "c"}),
    ],
)
def test_older_ways_to_list_images_are_understood(old: dict[str, Any], images: dict[str, str]) -> None:
    export = make_export(meta={"version": "PTDL_v1"})
    del export["docker_images"]

    assert parse(export | old).docker_images == images


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"docker_images": {}}, "no container image"),
        ({"docker_images": []}, "no container image"),
        ({"docker_images": {"A": "", "B": "b"}}, "left out"),
        ({"docker_images": ["b", "", "b"]}, "left out"),
        ({"startup": None}, "startup command is empty"),
        ({"config": {"files": "{not json"}}, "config.files"),
        ({"variables": [make_variable(), make_variable(name="Other")]}, "stored under SERVER_JARFILE"),
        ({"variables": [make_variable(), make_variable(env_variable="OTHER")]}, "called “Server Jar”"),
        ({"variables": [make_variable(env_variable="SERVER_IP")]}, "SERVER_IP"),
        ({"variables": [make_variable(default_value="")]}, "does not meet its own rules"),
        ({"variables": [make_variable(rules="required|frobnicate")]}, "frobnicate"),
        ({"variables": [make_variable(rules="required|regex:/^(a|b)$/")]}, "regex:/^(a"),
    ],
)
def test_an_oddity_is_a_warning_and_the_egg_is_still_read(changes: dict[str, Any], words: str) -> None:
    egg = parse(make_export(**changes))

    assert egg.name == "Paper"
    assert any(words in warning for warning in egg.warnings), egg.warnings


@pytest.mark.parametrize("missing", ["author", "description", "features", "config", "scripts", "file_denylist"])
def test_what_is_absent_or_null_is_empty(missing: str) -> None:
    absent = make_export()
    del absent[missing]

    assert parse(absent) == parse(make_export(**{missing: None}))


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (True, "1"),
        (False, "0"),
        (25565, "25565"),
        (0.1, "0.1"),
        (None, ""),
        ("x", "x"),
    ],
)
def test_a_default_that_is_no_text_becomes_the_text_a_panel_stores(written: object, stored: str) -> None:
    (variable,) = parse(make_export(variables=[make_variable(default_value=written, description=None)])).variables

    assert (variable.default_value, variable.description) == (stored, "")


@pytest.mark.parametrize(("written", "stored"), [(1, True), (0, False), ("1", True), (None, False)])
def test_flags_may_be_written_as_numbers(*, written: object, stored: bool) -> None:
    (variable,) = parse(make_export(variables=[make_variable(user_editable=written)])).variables

    assert variable.is_user_editable is stored


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"meta": {"version": "PTDL_v9"}}, "meta.version"),
        ({"meta": None}, "meta.version"),
        ({"name": " "}, "name"),
        ({"name": 7}, "name"),
        ({"description": "a\0b"}, "description"),
        ({"description": "\ud800"}, "description"),
        ({"features": "eula"}, "features"),
        ({"docker_images": {"A": 5}}, "docker_images.A"),
        ({"docker_images": "a"}, "docker_images"),
        ({"config": "x"}, "config"),
        ({"variables": {"a": 1}}, "variables"),
        ({"variables": ["a"]}, "variables[0]"),
        ({"variables": [make_variable(), make_variable(env_variable="")]}, "variables[1].env_variable"),
        ({"variables": [make_variable(env_variable="A.B")]}, "variables[0].env_variable"),
        ({"variables": [make_variable(env_variable="Ä")]}, "variables[0].env_variable"),
        ({"variables": [make_variable(rules=["required"])]}, "variables[0].rules"),
        ({"variables": [make_variable(default_value=[])]}, "variables[0].default_value"),
        ({"variables": [make_variable(user_viewable="yes")]}, "variables[0].user_viewable"),
    ],
)
def test_what_cannot_be_used_is_refused_by_file_and_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(EggInvalid) as refusal:
        parse(make_export(**changes))

    assert refusal.value.field == field
    assert str(refusal.value).startswith(f"paper.json, {field}: ")
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, "7"])
def test_what_is_no_json_object_is_refused_by_file(content: str | bytes) -> None:
    with pytest.raises(EggInvalid, match=r"^notes\.txt cannot be used: "):
        egg_file.parse(content, source="notes.txt")


def test_a_byte_order_mark_does_no_harm() -> None:
    content = b"\xef\xbb\xbf" + json.dumps(make_export()).encode()

    assert egg_file.parse(content, source="paper.json") == parse(make_export())


@needs_eggs
def test_all_eggs_of_the_collection_are_read(collection: dict[str, EggFile]) -> None:
    assert len(collection) == 250
    assert sum(len(egg.variables) for egg in collection.values()) == 2053
    assert all(egg.name and egg.startup and egg.docker_images for egg in collection.values())


@needs_eggs
def test_every_rule_the_collection_uses_is_applied_here(collection: dict[str, EggFile]) -> None:
    unknown = {
        (name, variable.env_variable, rule)
        for name, egg in collection.items()
        for variable in egg.variables
        for rule in rules.unknown_rules(rules.parse(variable.rules))
    }

    assert unknown == set()


@needs_eggs
def test_the_known_repetitions_of_the_collection_are_warned_of(collection: dict[str, EggFile]) -> None:
    repeating = {name for name, egg in collection.items() if any("Several" in warning for warning in egg.warnings)}

    assert repeating == {
        "dont_starve__egg-don-t-starve-together.json",
        "mordhau__egg-mordhau-wine.json",
        "swords_'n_Magic_and_Stuff__egg-swords-n-magic-and-stuff.json",
        "the_isle__evrima__egg-the-isle.json",
    }
