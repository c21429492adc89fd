"""Users' accounts at their providers: a changed e-mail address reaches them, and stops nothing where it cannot."""

from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.account.signals import email_changed

from sandbox.client import Sandbox
from servers import inventory
from servers.drivers.pterodactyl.client import PanelClient
from servers.models import DriftFinding, DriftKind, PanelAccount, Provider, Server, ServerStatus, SyncKind
from tests.servers.actions import make_running, request_count, run_until_quiet
from tests.servers.builders import AT

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
