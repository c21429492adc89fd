"""Users' accounts at their providers: a changed e-mail address reaches them, and stops nothing where it cannot."""

from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.account.signals import email_changed

from core import tenancy
from sandbox.client import Sandbox
from servers import handover, inventory
from servers.builds import SECRET
from servers.drivers.pterodactyl.client import PanelClient
from servers.drivers.pterodactyl.driver import PterodactylDriverWithClientKey
from servers.models import DriftFinding, DriftKind, PanelAccount, Provider, Server, ServerStatus, SyncKind
from tests.builders import make_organization, make_plan, make_user
from tests.servers.actions import control, make_running, panel_servers, request_count, run_until_quiet
from tests.servers.builders import AT, make_game_blueprint

LATER = AT + timedelta(days=2)  # the request reads the real clock
CHANGE = "PATCH /api/application/users/*"


def change_email(server: Server, email: str) -> None:
    """The owner makes another address primary, as allauth does."""
    owner = server.owner
    owner.email = email
    owner.save(update_fields=["email"])
    values = {"email": email, "verified": True, "primary": True}
    address, _is_new = EmailAddress.objects.update_or_create(user=owner, defaults=values)
    email_changed.send(None, request=None, user=owner, from_email_address=None, to_email_address=address)


def panel_account(provider: Provider, server: Server) -> dict[str, object]:
    """The owner's account on the panel."""
    found = PanelClient(provider).read(f"/users/external/{server.owner_id}")
    return dict(found["attributes"])


def test_another_email_address_reaches_the_panel_account_once(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    assert (PanelAccount.objects.get().email, request_count(panel, CHANGE)) == (server.owner.email, 0)
    before = panel_account(provider, server)

    change_email(server, "new@example.com")
    run_until_quiet(LATER)
    run_until_quiet(LATER)

    after = panel_account(provider, server)
    assert after["email"] == "new@example.com"
    assert {name for name in after if after[name] != before[name]} - {"updated_at", "first_name"} == {"email"}
    assert (PanelAccount.objects.get().email, request_count(panel, CHANGE)) == ("new@example.com", 1)


def test_an_address_that_another_account_has_is_for_staff_and_stops_no_server(
    panel: Sandbox, provider: Provider
) -> None:
    server, other = make_running(provider), make_running(provider)

    change_email(server, "first@example.com")
    run_until_quiet(LATER)
    change_email(other, "second@example.com")
    run_until_quiet(LATER)
    names = {"username": "taken", "first_name": "A", "last_name": "B"}
    PanelClient(provider).write("POST", "/users", {"email": "third@example.com", "password": "x" * 12, **names})
    change_email(server, "third@example.com")
    run_until_quiet(LATER)

    assert {each.reload().status for each in (server, other)} == {ServerStatus.RUNNING}
    assert panel_account(provider, server)["email"] == "first@example.com"
    inventory.sync(provider_id=provider.pk, kind=SyncKind.USERS, at=AT)
    finding = DriftFinding.objects.get(kind=DriftKind.EMAIL, closed_at=None)
    assert finding.subject == panel_account(provider, server)["username"]


def test_who_had_a_server_before_its_transfer_can_do_nothing_with_it_at_the_panel(
    panel: Sandbox, provider: Provider
) -> None:
    plan = make_plan()
    blueprint = make_game_blueprint(provider, plan, environment={"DL_PATH": SECRET})
    server = make_running(provider, plan=plan, blueprint=blueprint, databases=2)
    driver = PterodactylDriverWithClientKey(provider)
    known = {driver.create_database(server.identifier, name, "%") for name in ("players", "shop")}
    names = {"username": "friend", "first_name": "A", "last_name": "B", "password": "x" * 12}
    friend = PanelClient(provider).write("POST", "/users", {"email": "friend@example.com", **names})["attributes"]
    control(panel, f"servers/{server.ref}/subusers", {"user_id": friend["id"]})
    [before] = panel_servers(panel)
    rotations = "POST /api/client/servers/*/databases/*/rotate-password"
    panel.arm("pterodactyl", rotations, "lose_answer", after=1)
    panel.arm("pterodactyl", "DELETE /api/client/servers/*/users/*", "lose_answer")
    buyer = make_user()

    with tenancy.as_worker():
        handover.hand_over(server=server, organization=make_organization(buyer), owner=buyer, at=LATER)
    run_until_quiet(LATER)
    run_until_quiet(LATER + timedelta(days=1))

    [now] = panel_servers(panel)
    assert (before["subusers"], now["subusers"], server.reload().handover) == ([friend["id"]], [], None)
    assert now["user_id"] == int(PanelAccount.objects.get(user=buyer).ref) != before["user_id"]
    databases = driver.databases(server.identifier)
    assert not known & {driver.database_password(server.identifier, each.ref) for each in databases}
    assert request_count(panel, rotations) == 3  # of one whose answer was lost, once more
    passwords = {each["environment"]["DL_PATH"] for each in (before, now)}
    assert {len(each) for each in passwords} == {24}
    assert len(passwords) == 2
