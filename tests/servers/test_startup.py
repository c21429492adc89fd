"""A game's settings: checked by the egg's rules, sent by a worker, kept in our rows for a server that is made again."""

import pytest
from django.test import Client
from django.urls import reverse

from core.models import AuditEntry
from sandbox.client import Sandbox
from servers import builds
from servers.models import Operation, OperationOutcome, Provider, Server, ServerVariable
from servers.self_service.startup import StartupForm
from tests.servers.builders import make_game_blueprint, make_plan
from tests.servers.self_service import member_of, open_section, run, running_with, suspend


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    return running_with(provider)


@pytest.fixture
def browser(server: Server) -> Client:
    client = Client()
    client.force_login(server.owner)
    open_section(client, server, "startup")
    return client


def at_panel(panel: Sandbox, server: Server) -> dict[str, str]:
    """The variables and the image that the panel has."""
    [found] = [each for each in panel.panel_state()["servers"] if str(each["id"]) == server.ref]
    return {**found["environment"], "image": found["image"]}


def save(browser: Client, server: Server, **values: str) -> object:
    """Send the form as it is shown, with these values in it."""
    address = reverse("servers:startup", args=[server.pk])
    form = browser.get(address).context["form"]
    fields = {f"set-{name}": form[name].value() for name in form.fields}
    return browser.post(address, {**fields, **{f"set-{name}": value for name, value in values.items()}})


def test_a_setting_is_sent_and_kept_for_a_server_that_is_made_again(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    shown = open_section(browser, server, "startup")
    assert "BUILD_NUMBER" in shown
    assert "DL_PATH" not in shown  # customers may not see it
    parts = ("Game version</h2>", reverse("servers:reinstall", args=[server.pk]), "BUILD_NUMBER", "Settings</h2>")
    assert sorted(parts, key=shown.index) == list(parts)
    assert "Java version" in shown[shown.index("Settings</h2>") :]

    save(browser, server, BUILD_NUMBER="4711", image="ghcr.io/pterodactyl/yolks:java_17")
    run()

    assert at_panel(panel, server)["BUILD_NUMBER"] == "4711"
    assert at_panel(panel, server)["image"] == "ghcr.io/pterodactyl/yolks:java_17"
    server = server.reload()
    again = builds.game_build(server.blueprint, builds.environment_of(server), server.build["image"])
    assert (again.environment["BUILD_NUMBER"], again.image) == ("4711", "ghcr.io/pterodactyl/yolks:java_17")
    assert 'value="4711"' in open_section(browser, server, "startup")
    assert "4711" not in str(list(AuditEntry.objects.values()))
    assert Operation.objects.filter(outcome=OperationOutcome.DONE).count() == 2


@pytest.mark.parametrize(
    ("name", "value"), [("SERVER_JARFILE", "../server.sh"), ("BUILD_NUMBER", "x" * 21), ("BUILD_NUMBER", "")]
)
def test_a_value_that_breaks_its_rule_is_said_at_its_field(
    panel: Sandbox, server: Server, browser: Client, name: str, value: str
) -> None:
    before = at_panel(panel, server)

    answer = save(browser, server, **{name: value})

    assert answer.status_code == 422  # type: ignore[attr-defined]
    assert list(answer.context["form"].errors) == [name]  # type: ignore[attr-defined]
    run()
    assert not Operation.objects.exists()
    assert at_panel(panel, server) == before


def test_what_is_not_offered_is_not_changed(panel: Sandbox, server: Server, browser: Client) -> None:
    answer = save(browser, server, DL_PATH="https://example.test", image="somebody/else:latest")

    assert list(answer.context["form"].errors) == ["image"]  # type: ignore[attr-defined]
    save(browser, server, DL_PATH="https://example.test")
    assert not Operation.objects.exists()


def test_what_the_panel_refuses_is_said_and_not_kept(panel: Sandbox, server: Server, browser: Client) -> None:
    for _time in range(2):
        panel.arm("pterodactyl", "PUT /api/client", "lose_answer")
        save(browser, server, BUILD_NUMBER="12")
        run()
    assert at_panel(panel, server)["BUILD_NUMBER"] == "12"
    Operation.objects.all().delete()

    Operation.objects.create(
        server=server,
        organization_id=server.organization_id,
        provider=server.blueprint.provider,
        kind="startup.variable",
        target="SERVER_JARFILE",
        content="no",
        node_id=server.node_id,
        requested_at=server.created_at,
        run_at=server.created_at,
    )
    Operation.objects.update(requested_at=server.reload().updated_at)
    run()

    assert "SERVER_JARFILE:" in Operation.objects.get().message
    assert not ServerVariable.objects.filter(env_variable="SERVER_JARFILE").exists()


def test_only_who_manages_the_server_and_while_it_is_not_suspended(server: Server, browser: Client) -> None:
    assert member_of(server, "operate").get(reverse("servers:startup", args=[server.pk])).status_code == 404
    suspend(server)

    save(browser, server, BUILD_NUMBER="5")

    assert not Operation.objects.exists()


def form_of(*variables: tuple[str, str, str, str], sent: dict[str, str] | None = None) -> StartupForm:
    """The form of settings (variable, name, value, rules), with the values that were sent."""
    listed = [
        {"env_variable": key, "name": name, "value": value, "rules": line, "description": "", "is_editable": True}
        for key, name, value, line in variables
    ]
    startup = {"variables": listed, "image": "proton", "images": {"Proton": "proton", "Wine": "wine"}}
    return StartupForm(startup, {f"set-{key}": value for key, value in sent.items()} if sent is not None else None)


def test_what_is_installed_stands_first_under_headings_of_its_own() -> None:
    form = form_of(
        ("API_KEY", "CurseForge API Key", "", "required|string"),
        ("VERSION_ID", "Modpack File ID", "latest", "string"),
        ("MODPACKMODE", "Mod Pack Mode", "NONE", "required|string|in:NONE,CKAN"),
        ("FTB_VERSION_STRING", "FTB Pack Version", "", "nullable|string"),
        ("ENFORCE_BUILD", "Enforce Game Version", "0", "boolean"),
        ("MC_VERSION", "Minecraft Version", "latest", "required|string|max:20"),
        ("BUILD_TYPE", "Build Type", "latest", "required|string|in:recommended,latest"),
    )

    assert [(str(heading), [field.name for field in fields], reads) for heading, fields, reads in form.groups()] == [
        ("Modpack", ["VERSION_ID", "FTB_VERSION_STRING"], True),
        ("Game version", ["MC_VERSION", "BUILD_TYPE"], True),
        ("Settings", ["image", "API_KEY", "MODPACKMODE", "ENFORCE_BUILD"], False),
    ]
    assert form.fields["image"].label == "Version"  # not of Java


@pytest.mark.parametrize(
    ("value", "line", "sent", "changed"),
    [
        ("1", "required|boolean", {}, ["0"]),
        ("1", "required|boolean", {"ON": "on"}, []),
        ("0", "boolean", {"ON": "on"}, ["1"]),
        ("0", "boolean", {}, []),
        ("", "nullable|boolean", {}, []),
        ("", "required|boolean", {}, ["0"]),
        ("yes", "boolean", {"ON": "0"}, ["0"]),  # what no box can say is a choice
        ("yes", "boolean", {"ON": "yes"}, None),
    ],
)
def test_yes_or_no_is_a_box_to_tick(value: str, line: str, sent: dict[str, str], changed: list[str] | None) -> None:
    form = form_of(("ON", "On", value, line), sent=sent | {"image": "proton"})

    assert form.is_valid() == (changed is not None)
    if changed is not None:
        assert [each["content"] for each in form.changes()] == changed


def test_an_image_that_the_egg_no_longer_has_is_not_used_again(provider: Provider) -> None:
    blueprint = make_game_blueprint(provider, make_plan())
    merged = builds.merged_environment(blueprint, key=str(blueprint.pk))

    assert builds.game_build(blueprint, merged, "gone:1").image == builds.game_build(blueprint, merged).image
