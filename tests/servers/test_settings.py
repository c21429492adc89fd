"""The sections about a server as a whole: settings, activity and access."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AccessLevel, Membership, Role
from core import audit, clock
from core.models import AuditEntry
from sandbox.client import Sandbox
from servers import services
from servers.models import (
    Listing,
    Operation,
    OperationOutcome,
    PanelAccount,
    Provider,
    Server,
    ServerAccess,
    ServerStatus,
)
from tests.builders import make_user
from tests.servers.actions import control, run_until_quiet
from tests.servers.self_service import member_of, open_section, run, running_with


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    return running_with(provider)


@pytest.fixture
def browser(server: Server) -> Client:
    client = Client()
    client.force_login(server.owner)
    return client


def test_settings_name_sftp_of_the_owner(server: Server, browser: Client) -> None:
    account = PanelAccount.objects.get(user=server.owner)

    shown = open_section(browser, server, "settings")

    assert f"{account.username}.{server.identifier}" in shown
    assert "2022" in shown
    assert reverse("subscriptions:list") in shown


def test_a_new_name_is_saved_and_a_bad_one_is_said_at_its_field(server: Server, browser: Client) -> None:
    address = reverse("servers:rename", args=[server.pk])

    assert list(browser.post(address, {"name": "!"}).context["form"].errors) == ["name"]
    assert "Renamed." in browser.post(address, {"name": "Tower"}, follow=True).content.decode()
    assert server.reload().name == "Tower"


def test_installing_again_asks_says_what_is_kept_and_ends_running(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    control(panel, "settings", {"install_seconds": 30})
    address = reverse("servers:reinstall", args=[server.pk])
    assert "Your files stay" in browser.get(address).content.decode()
    assert browser.post(address, {"typed": "another"}).status_code == 422
    assert not Operation.objects.exists()

    browser.post(address, {"typed": server.name})
    at = clock.now()
    run(at)

    assert Operation.objects.get().outcome == OperationOutcome.DONE
    [remote] = [each for each in panel.panel_state()["servers"] if str(each["id"]) == server.ref]
    assert remote["status"] == "installing"
    panel.advance(60)
    run_until_quiet(at)
    assert server.reload().status == ServerStatus.RUNNING
    assert member_of(server, "operate").get(address).status_code == 404


def test_installing_again_is_not_sent_twice_after_a_lost_answer(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    panel.arm("pterodactyl", "POST /api/client", "lose_answer")
    browser.post(reverse("servers:reinstall", args=[server.pk]), {"typed": server.name})
    for _time in range(3):
        run()

    assert len(panel.requests("pterodactyl", "POST /api/client/*/reinstall")) == 1


def test_activity_says_who_did_what_and_nothing_of_others(server: Server, browser: Client, provider: Provider) -> None:
    staff = make_user(is_staff=True, first_name="Grace", last_name="Hopper")
    services.rename_server(server=server, name="Tower", actor=server.owner, at=clock.now())
    services.retry(server_id=server.pk, actor=staff, at=clock.now())
    audit.record(action="server.lift_hold", entity=server, actor=staff, new={"kind": "abuse"}, at=clock.now())
    audit.record(action="server.converge", entity=server, actor=staff, at=clock.now())
    audit.record(action="server.power", entity=server, actor=audit.SYSTEM, new={"action": "start"}, at=clock.now())
    other = running_with(provider)
    services.rename_server(server=other, name="Elsewhere", actor=other.owner, at=clock.now())

    shown = browser.get(reverse("servers:activity", args=[server.pk])).content.decode()

    for text in ("Renamed the server: Tower", server.owner.full_name, "Lifted a suspension", "Staff", "Automatic"):
        assert text in shown
    for text in ("Elsewhere", "Hopper", "converge", "abuse", "127.0.0.1"):
        assert text not in shown
    manager = member_of(server, "manage").get(reverse("servers:activity", args=[server.pk])).content.decode()
    assert "Renamed the server: Tower" in manager
    assert server.owner.email not in manager.partition('id="activity"')[2].partition("</main>")[0]
    assert browser.get(reverse("servers:activity", args=[other.pk])).status_code == 404
    assert member_of(server, "operate").get(reverse("servers:activity", args=[server.pk])).status_code == 404


def test_activity_before_a_transfer_is_not_the_new_owners(server: Server, browser: Client, provider: Provider) -> None:
    services.rename_server(server=server, name="Secret name", actor=server.owner, at=clock.now())
    former = running_with(provider).organization_id
    entry = AuditEntry.objects.filter(action="server.rename").latest("id")
    audit.record(action="server.rename", entity=server, organization=former, new={"name": "Of another"}, at=entry.at)

    shown = browser.get(reverse("servers:activity", args=[server.pk])).content.decode()

    assert "Secret name" in shown
    assert "Of another" not in shown


def test_owners_give_members_access_to_one_server(server: Server, browser: Client) -> None:
    member = make_user(first_name="Joan")
    Membership.objects.create(organization=server.organization, user=member, role=Role.MEMBER)
    address = reverse("servers:access", args=[server.pk])

    for level in ("operate", "manage"):
        browser.post(address, {"member": str(member.pk), "level": level})
        assert ServerAccess.objects.get(user=member, server=server).level == level
    assert "Joan" in browser.get(address).content.decode()
    joan = Client()
    joan.force_login(member)
    assert joan.get(reverse("servers:settings", args=[server.pk])).status_code == 200
    assert joan.get(address).status_code == 404  # who manages a server gives no access to it
    assert joan.post(address, {"member": str(member.pk), "level": "view"}).status_code == 404
    browser.post(address, {"member": str(member.pk), "level": ""})
    assert not ServerAccess.objects.exists()
    entries = AuditEntry.objects.filter(action="server.access", actor_id=server.owner.pk)
    assert [(entry.new or {})["level"] for entry in entries.order_by("id")] == ["operate", "manage", ""]


def test_nobody_else_is_given_access(server: Server, browser: Client) -> None:
    address = reverse("servers:access", args=[server.pk])
    stranger = make_user()

    assert browser.post(address, {"member": str(stranger.pk), "level": "view"}).status_code == 404
    assert browser.post(address, {"member": str(server.owner.pk), "level": "root"}).status_code == 422
    answer = browser.post(address, {"member": str(server.owner.pk), "level": "view"}, follow=True)
    assert "may do everything" in answer.content.decode()
    assert not services.give_access(
        server=server, user_id=stranger.pk, level=AccessLevel.MANAGE, actor=None, at=clock.now()
    )
    assert not ServerAccess.objects.exists()


def test_ports_are_listed_and_have_notes(panel: Sandbox, server: Server, browser: Client, provider: Provider) -> None:
    address = reverse("servers:network", args=[server.pk])
    shown = open_section(browser, server, "network")
    assert f":{server.port}" in shown
    assert "Main port" in shown
    [port] = Listing.objects.get(server=server).result
    other = Client()
    elsewhere = running_with(provider)
    other.force_login(elsewhere.owner)
    open_section(other, elsewhere, "network")

    fields = {"ref": port["ref"], "note": "the lobby"}
    assert browser.post(address, {**fields, "note": "x" * 101}).status_code == 422
    assert other.post(reverse("servers:network", args=[elsewhere.pk]), fields).status_code == 404
    assert not Operation.objects.exists()
    browser.post(address, fields)
    run()

    assert 'value="the lobby"' in open_section(browser, server, "network")
    [kept] = [each for each in panel.panel_state()["allocations"] if str(each["id"]) == port["ref"]]
    assert kept["notes"] == "the lobby"
