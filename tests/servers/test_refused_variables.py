"""Egg variables whose values are refused, here or by the panel: named, corrected by staff, and tried again."""

from typing import Any
from uuid import UUID

from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry, WorkState
from sandbox.client import Sandbox
from servers import events, services
from servers.models import (
    Egg,
    EggVariable,
    Provider,
    ProvisioningTask,
    Server,
    ServerStatus,
)
from tests.admin.conftest import signed_in_user, staff, superadmin
from tests.servers.actions import make_running, panel_servers, request_count, run_until_quiet
from tests.servers.builders import AT, make_game_blueprint, make_plan, make_server

__all__ = ["staff", "superadmin"]
CREATE = "POST /api/application/servers"


def test_an_invalid_setting_fails_by_name_and_nothing_is_created(panel: Sandbox, provider: Provider) -> None:
    failures: list[str] = []

    def listen(server_ids: list[UUID], reason: str, **_: Any) -> None:
        failures.append(reason)

    events.servers_failed.connect(listen)
    try:
        server = make_server(provider, variables={"BUILD_NUMBER": "x" * 80})
        run_until_quiet(AT)
    finally:
        events.servers_failed.disconnect(listen)

    server = server.reload()
    assert server.status == ServerStatus.FAILED
    assert "BUILD_NUMBER" in server.failure
    assert failures == [server.failure]
    assert request_count(panel, CREATE) == 0
    assert ProvisioningTask.objects.get().state == WorkState.DEAD


def test_a_setting_that_only_the_panel_refuses_fails_the_server_by_name(panel: Sandbox, provider: Provider) -> None:
    egg = Egg.objects.get(nest__provider=provider, name="Minecraft Paper")
    EggVariable.objects.filter(egg=egg, env_variable="BUILD_NUMBER").update(rules="required|left_to_the_panel")

    server = make_server(provider, variables={"BUILD_NUMBER": "x" * 80})
    run_until_quiet(AT)

    server = server.reload()
    assert server.status == ServerStatus.FAILED
    assert server.failure.startswith("The panel refused the game's settings. BUILD_NUMBER: ")
    assert server.variable_errors.keys() == {"BUILD_NUMBER"}
    assert (request_count(panel, CREATE), panel_servers(panel)) == (1, [])


def test_a_failed_server_is_created_after_the_mistake_is_corrected_and_retried(
    panel: Sandbox, provider: Provider
) -> None:
    plan = make_plan()
    blueprint = make_game_blueprint(provider, plan, environment={"BUILD_NUMBER": "x" * 80})
    server = make_server(provider, plan=plan, blueprint=blueprint)
    run_until_quiet(AT)
    assert server.reload().status == ServerStatus.FAILED

    blueprint.environment = {"BUILD_NUMBER": 17}
    blueprint.save()
    assert services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert server.reload().status == ServerStatus.RUNNING
    assert panel_servers(panel)[0]["environment"]["BUILD_NUMBER"] == "17"


def make_refused(provider: Provider, value: str = "x" * 80, *, env_variable: str = "BUILD_NUMBER") -> Server:
    """A failed server: its customer's value of a variable passes here, and the panel refuses it."""
    egg = Egg.objects.get(nest__provider=provider, name="Minecraft Paper")
    EggVariable.objects.filter(egg=egg, env_variable=env_variable).update(rules="required|left_to_the_panel")
    server = make_server(provider, variables={env_variable: value})
    run_until_quiet(AT)
    return server.reload()


def correct_url(server: Server) -> str:
    return reverse("admin:servers_server_correct_variables", args=[server.pk])


def test_staff_see_the_panels_message_beside_the_variable_and_correct_it(
    panel: Sandbox, provider: Provider, superadmin: Client
) -> None:
    server = make_refused(provider)

    page = superadmin.get(correct_url(server))
    assert page.status_code == 200
    field = page.context["form"]["BUILD_NUMBER"]
    assert server.variable_errors["BUILD_NUMBER"] in field.help_text
    assert server.variable_errors["BUILD_NUMBER"] in page.content.decode()

    response = superadmin.post(correct_url(server), {"_form_submitted": "True", "BUILD_NUMBER": "17"})
    assert response.status_code == 302
    assert "sets up" in str(next(iter(get_messages(response.wsgi_request))))
    run_until_quiet(timezone.now())

    assert server.reload().status == ServerStatus.RUNNING
    assert panel_servers(panel)[0]["environment"]["BUILD_NUMBER"] == "17"
    assert [variable.env_variable for variable in server.variables.all()] == ["BUILD_NUMBER"]
    entry = AuditEntry.objects.get(action="server.correct_variables")
    assert (entry.actor, entry.new) == (signed_in_user(superadmin), {"variables": ["BUILD_NUMBER"]})


def test_a_customers_value_is_not_shown_to_staff(panel: Sandbox, provider: Provider, superadmin: Client) -> None:
    server = make_refused(provider, value="a secret of theirs" * 5)

    assert "a secret of theirs" not in superadmin.get(correct_url(server)).content.decode()


def test_a_corrected_value_that_breaks_a_known_rule_is_refused_beside_its_field(
    panel: Sandbox, provider: Provider, superadmin: Client
) -> None:
    server = make_server(provider, variables={"BUILD_NUMBER": "x" * 80})
    run_until_quiet(AT)
    assert server.reload().variable_errors.keys() == {"BUILD_NUMBER"}

    response = superadmin.post(correct_url(server), {"_form_submitted": "True", "BUILD_NUMBER": "y" * 80})

    assert response.status_code == 422
    assert response.context["form"].errors.keys() == {"BUILD_NUMBER"}
    assert server.reload().status == ServerStatus.FAILED


def test_staff_correct_what_customers_cannot_change(panel: Sandbox, provider: Provider) -> None:
    egg = Egg.objects.get(nest__provider=provider, name="Minecraft Paper")
    EggVariable.objects.filter(egg=egg, env_variable="BUILD_NUMBER").update(is_user_editable=False)
    server = make_server(provider, variables={"BUILD_NUMBER": "17"})
    run_until_quiet(AT)
    assert server.reload().variable_errors == {"BUILD_NUMBER": "Customers cannot change this setting."}

    assert services.correct_variables(server_id=server.pk, values={"BUILD_NUMBER": "18"}, actor=None, at=AT)
    run_until_quiet(AT)

    assert server.reload().status == ServerStatus.RUNNING
    assert panel_servers(panel)[0]["environment"]["BUILD_NUMBER"] == "18"


def test_a_server_that_has_not_failed_has_nothing_to_correct(
    panel: Sandbox, provider: Provider, superadmin: Client
) -> None:
    server = make_running(provider)

    assert superadmin.get(correct_url(server)).status_code == 302
    assert not services.correct_variables(server_id=server.pk, values={"BUILD_NUMBER": "1"}, actor=None, at=AT)
    assert not server.variables.exists()
