"""A host's servers become servers of this shop: shown first, then done, and nothing twice."""

import re
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import ledger_audit
from billing.models import InvoiceItem, InvoiceState, RunKind, Subscription
from billing.runs import runner
from catalog.models import Kind, Plan, PlanPrice
from core import work
from core.models import AuditEntry
from orders import adoption
from orders.imports import importing, planning
from orders.imports.mapping import MappingError, parse_mapping
from orders.models import ImportOutcome, ImportRow, ImportState, ImportTask, Order, ServerImport
from servers.models import (
    Allocation,
    Location,
    Node,
    PanelAccount,
    Provider,
    RemoteAccountSeen,
    RemoteServerSeen,
    Server,
)
from tests.billing.sales import run_commit_triggers
from tests.builders import make_price
from tests.servers.builders import make_blueprint, make_egg, make_node, make_plan, make_provider, make_region, make_user

pytestmark = pytest.mark.django_db
AT = timezone.now()
BILLED_FROM = AT.date() + timedelta(days=20)
EMAILS = ("ada@example.test", "ada@example.test", "bob@example.test")


@pytest.fixture
def provider(db: None) -> Provider:
    """A panel with three servers of two customers, and one of its administrator; all of one egg with two plans."""
    provider = make_provider(name="Old panel")
    location = Location.objects.create(provider=provider, ref="1", code="eu", name="EU", region=make_region("eu"))
    node = make_node(location, memory_mib=65536, disk_mib=655360, ports=10)
    egg = make_egg(provider)
    small, large = (make_plan(memory_mib=size, disk_mib=size * 10) for size in (1024, 4096))
    for plan, minor in ((small, 400), (large, 1500)):
        make_price(plan, minor=minor)
        make_blueprint(provider, plan, egg=egg)
    ports = list(Allocation.objects.filter(node=node).order_by("port"))
    for number, email in enumerate((*EMAILS, "root@example.test")):
        account = {"username": email, "email": email, "is_admin": email.startswith("root")}
        RemoteAccountSeen.objects.get_or_create(provider=provider, ref=email[:3], defaults=account)
        make_seen(provider, node, number, email[:3], ports[number])
    return provider


def make_seen(provider: Provider, node: Node, number: int, account: str, port: Allocation) -> RemoteServerSeen:
    """A server there that nobody here knows."""
    return RemoteServerSeen.objects.create(
        provider=provider,
        ref=str(100 + number),
        identifier=f"abcd000{number}",
        build_ref="1",
        name=f"Server {number}",
        node=node,
        account_ref=account,
        memory_mib=1024,
        disk_mib=10240,
        cpu_percent=100,
        allocation_refs=[port.ref],
        is_suspended=False,
    )


def check(provider: Provider, mapping: str = "", **options: bool) -> ServerImport:
    """A checked import."""
    values: dict[str, Any] = {"term": "monthly", "billed_from": BILLED_FROM, "actor": None, "at": AT, **options}
    server_import = importing.request_check(provider=provider, mapping=parse_mapping(mapping), **values)
    importing.advance(server_import_id=server_import.pk, at=AT)
    return server_import.reload()


def outcomes(server_import: ServerImport) -> dict[str, str]:
    """By the servers' numbers."""
    return dict(ImportRow.objects.filter(server_import=server_import).values_list("ref", "outcome"))


def run(server_import: ServerImport) -> None:
    """Import until nothing is left."""
    assert importing.request_import(server_import=server_import, actor=None, at=AT)
    while importing.advance(server_import_id=server_import.pk, at=AT):
        pass


def test_a_check_says_what_would_happen_and_does_nothing(provider: Provider) -> None:
    users = User.objects.count()

    server_import = check(provider, "ref,email,plan\n103,eve@example.test,\n100,,nope\n999,x@example.test,")

    assert server_import.state == ImportState.CHECKED
    assert outcomes(server_import) == {
        "100": "refused",
        "101": "planned",
        "102": "planned",
        "103": "planned",
        "999": "refused",
    }
    notes = dict(ImportRow.objects.values_list("ref", "note"))
    assert notes["101"] == "new customer · $4.00, Monthly · keeps 1 GB, 10 GB"
    assert "No blueprint builds this plan" in notes["100"]
    assert "no such server" in notes["999"]
    assert (Server.objects.count(), Order.objects.count(), User.objects.count()) == (0, 0, users)
    assert outcomes(check(provider))["103"] == ImportOutcome.REFUSED  # an administrator's, and nobody is named


def test_an_import_makes_customers_servers_and_subscriptions_once(provider: Provider) -> None:
    ada = make_user("ada@example.test")
    server_import = check(provider, f"ref;plan;billed_from\n102;{Plan.objects.get(memory_mib=4096)};2099-01-31")

    run(server_import)
    again = check(provider)
    run(again)

    assert server_import.reload().state == ImportState.FINISHED
    assert outcomes(server_import) == {"100": "imported", "101": "imported", "102": "imported", "103": "refused"}
    assert outcomes(again) == {"103": "refused"}
    assert Server.objects.filter(organization__owner=ada).count() == 2
    bob = User.objects.get(email="bob@example.test")
    assert not bob.has_usable_password()
    assert not EmailAddress.objects.get(user=bob).verified
    assert PanelAccount.objects.get(user=bob).ref == "bob"
    subscription = Subscription.objects.get(organization__owner=bob)
    assert (subscription.amount_minor, subscription.anchor_day) == (1500, 31)
    assert subscription.current_period_end is not None
    assert subscription.current_period_end.date() == date(2099, 1, 31)
    assert Server.objects.get(organization__owner=bob).memory_mib == 1024
    assert AuditEntry.objects.filter(action="server.adopt").count() == 3


def test_a_batch_that_is_killed_is_repeated_and_nothing_is_done_twice(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_import = check(provider)
    importing.request_import(server_import=server_import, actor=None, at=AT)
    adopt, done = importing.adopt_row, []

    def dies(*args: Any, **kwargs: Any) -> Any:
        server = adopt(*args, **kwargs)
        done.append(server)
        if len(done) == 2:
            raise KeyboardInterrupt  # after all was written, before it was committed
        return server

    monkeypatch.setattr(importing, "adopt_row", dies)
    with pytest.raises(KeyboardInterrupt):
        importing.advance(server_import_id=server_import.pk, at=AT)
    assert Server.objects.count() == 1
    monkeypatch.setattr(importing, "adopt_row", adopt)

    work.run_due(at=ImportTask.objects.get().run_at, models=(ImportTask,))

    assert (Server.objects.count(), Order.objects.count(), Subscription.objects.count()) == (3, 3, 3)
    assert server_import.reload().state == ImportState.FINISHED
    assert Node.objects.get().servers_reserved == 3


def test_what_changed_since_the_check_is_refused_and_leaves_nothing_behind(provider: Provider) -> None:
    server_import = check(provider)
    RemoteServerSeen.objects.filter(ref="102").update(is_present=False)
    eve = make_user("eve@example.test")
    PanelAccount.objects.create(provider=provider, user=eve, ref="ada")

    run(server_import)

    assert outcomes(server_import)["102"] == ImportOutcome.REFUSED
    assert "belongs to another user here" in ImportRow.objects.get(server_import=server_import, ref="100").note
    assert not User.objects.filter(email__in=EMAILS).exists()
    assert not Server.objects.exists()


def test_somebody_who_has_not_confirmed_an_address_gets_no_servers_by_it(provider: Provider) -> None:
    stranger = make_user("ada@example.test")
    stranger.set_password("a password of their own")
    stranger.save()

    found = outcomes(check(provider))

    assert (found["100"], found["101"], found["102"]) == ("refused", "refused", "planned")
    EmailAddress.objects.create(user=stranger, email="other@example.test", verified=True)
    assert outcomes(check(provider, matches_by_email=True))["100"] == ImportOutcome.REFUSED
    EmailAddress.objects.update_or_create(user=stranger, email=stranger.email, defaults={"verified": True})
    assert outcomes(check(provider, matches_by_email=True))["100"] == ImportOutcome.PLANNED


def test_the_address_of_an_account_there_gives_nobody_a_server_unless_staff_say_so(provider: Provider) -> None:
    server_import = check(provider)
    ada = make_user("ada@example.test", last_login=AT)  # after the check
    EmailAddress.objects.update_or_create(user=ada, email=ada.email, defaults={"verified": True})
    run(server_import)

    assert outcomes(server_import) == {"100": "refused", "101": "refused", "102": "imported", "103": "refused"}
    mapped = check(provider, "ref,email\n101,ada@example.test")
    assert "only by email" in mapped.rows.get(ref="100").note
    assert mapped.rows.get(ref="101").outcome == ImportOutcome.PLANNED
    confirmed = check(provider, matches_by_email=True)
    assert "matched by email" in confirmed.rows.get(ref="100").note
    # Her own account there, and no other: who says they are her on the panel gets none of her servers.
    RemoteAccountSeen.objects.filter(ref="ada").update(email="x@example.test")
    RemoteAccountSeen.objects.filter(ref="roo").update(email="ada@example.test", is_admin=False)
    run(confirmed)
    assert "Another account there" in ImportRow.objects.get(server_import=confirmed, ref="100").note


def test_a_price_that_moved_since_it_was_shown_is_not_taken(provider: Provider) -> None:
    server_import = check(provider)
    shown = server_import.rows.get(ref="100").price
    assert shown is not None
    PlanPrice.objects.filter(pk=shown.pk).update(superseded_at=AT)
    make_price(shown.plan, minor=500)

    run(server_import)

    assert set(outcomes(server_import).values()) == {"refused"}
    note = ImportRow.objects.get(server_import=server_import, ref="100").note
    assert ("$5.00" in note, "$4.00" in note) == (True, True)
    assert not Server.objects.exists()


def test_a_check_reads_as_often_for_many_servers_as_for_one(provider: Provider) -> None:
    def reads() -> int:
        server_import = ServerImport(provider=provider, billed_from=BILLED_FROM)
        with CaptureQueriesContext(connection) as queries:
            planning.plan_rows(server_import, at=AT)
        return len(queries)

    assert reads()  # settings are read once
    before, node = reads(), Node.objects.get()
    for number, port in enumerate(Allocation.objects.order_by("port")[4:9], start=4):
        RemoteAccountSeen.objects.create(provider=provider, ref=f"n{number}", email=f"n{number}@example.test")
        make_seen(provider, node, number, f"n{number}", port)

    assert reads() == before


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("email\nada@example.test", "The first line"),
        ("ref,price\n1,2", "The first line"),
        ("ref,ref\n1,2", "The first line"),
        ("ref,email\n1,ada", "Line 2"),
        ("ref,billed_from\n1,31.12.2026", "Line 2"),
        ("ref,term\n1,hourly", "Line 2"),
        ("ref,email\n,ada@example.test", "Line 2"),
        ("ref,email\n1,a@example.test,x,y", "Line 2"),
        ("ref\n1\n2\n1", "Line 4"),
        ("ref\n1\x00", "no text"),
        ("ref\n" + "1" * 200, "Line 2"),
        ('ref\n"1', "no CSV"),
    ],
)
def test_a_mapping_that_cannot_be_meant_says_where(content: str, text: str) -> None:
    with pytest.raises(MappingError, match=text):
        parse_mapping(content)


def test_the_commands_options_are_those_of_its_check(provider: Provider, tmp_path: Path) -> None:
    def call(*options: str) -> list[list[str]]:
        out = StringIO()
        call_command("import_servers", "--provider", "Old panel", *options, stdout=out)
        return [line.split("  ") for line in out.getvalue().splitlines()]

    for plan in Plan.objects.all():
        make_price(plan, minor=4000, term="yearly")
    ada = make_user("ada@example.test", last_login=AT)
    EmailAddress.objects.create(user=ada, email=ada.email, verified=True)
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("\ufeffref;email;term\n102;Eve@example.test;\n103;eve@example.test;monthly\n", encoding="utf-8")

    shown = call("--mapping", str(mapping), "--term", "yearly", "--billed-from", "2099-02-01", "--match-by-email")

    named = str(Plan.objects.get(memory_mib=1024))
    assert [row[:7] for row in shown[:4]] == [
        ["planned", "100", "Server 0", "ada@example.test", named, "yearly", "2099-02-01"],
        ["planned", "101", "Server 1", "ada@example.test", named, "yearly", "2099-02-01"],
        ["planned", "102", "Server 2", "eve@example.test", named, "yearly", "2099-02-01"],
        ["planned", "103", "Server 3", "eve@example.test", named, "monthly", "2099-02-01"],
    ]
    assert "matched by email" in shown[0][7]
    assert "$40.00" in shown[2][7]
    unconfirmed = call()
    assert [row[0] for row in unconfirmed[:4]] == ["refused", "refused", "planned", "refused"]
    assert unconfirmed[2][5:7] == ["monthly", str(adoption.first_of_next_month(timezone.now().date()))]
    mapping.write_text("ref,email\n100,ada\n")
    for wrong, text in (
        (("--mapping", str(mapping)), "Line 2"),
        (("--mapping", str(tmp_path / "none.csv")), "No such file"),
        (("--term", "hourly"), "invalid choice: 'hourly'"),
        (("--billed-from", "1.2.2099"), "invalid fromisoformat value: '1.2.2099'"),
    ):
        with pytest.raises(CommandError, match=re.escape(text)):
            call(*wrong)
    assert (ServerImport.objects.count(), Server.objects.count()) == (2, 0)


def test_the_command_imports_only_what_a_check_has_shown(provider: Provider) -> None:
    def call(*options: str) -> str:
        out = StringIO()
        call_command("import_servers", *options, stdout=out)
        return out.getvalue()

    def check_id() -> str:
        shown = call("--provider", "Old panel")
        assert "Nothing was done" in shown
        return str(re.findall(r"--import (\S+)", shown)[0])

    old = check_id()
    price = ImportRow.objects.get(ref="100").price
    assert price is not None
    PlanPrice.objects.filter(pk=price.pk).update(superseded_at=AT)
    make_price(price.plan, minor=500)  # which nobody has seen
    assert "4 refused" in call("--import", old)
    assert not Server.objects.exists()
    new = check_id()
    for _time in range(2):  # the second time as after a kill
        assert "3 imported" in call("--import", new)
    assert Server.objects.filter(kind=Kind.GAME).count() == 3
    for wrong in ("--provider x", "", f"--provider Old --import {new}", f"--import {uuid4()}"):
        with pytest.raises(CommandError):
            call(*wrong.split())


def test_what_was_imported_is_renewed_from_the_chosen_day_and_shown_to_its_customer(
    provider: Provider, client: Client
) -> None:
    server_import = check(provider)
    run(server_import)
    subscription = Subscription.objects.get(organization__owner__email="bob@example.test")
    item, start = subscription.order_item, adoption.start_of(BILLED_FROM)

    runner.execute(RunKind.RENEW, at=start - timedelta(days=1))
    run_commit_triggers()

    paid, billed = InvoiceItem.objects.filter(subscription=subscription).order_by("period_start")
    assert (paid.amount_minor, paid.period_end, paid.invoice.state) == (0, start, InvoiceState.PAID)
    assert (billed.amount_minor, billed.period_start, billed.invoice.state) == (400, start, InvoiceState.OPEN)
    assert ledger_audit.broken_rules() == {}
    client.force_login(User.objects.get(email="bob@example.test"))
    pages = {
        "orders:progress": item.order_id,
        "billing:invoice": paid.invoice_id,
        "billing:invoice_pdf": paid.invoice_id,
        "servers:detail": item.server_id,
    }
    for name, pk in pages.items():
        assert client.get(reverse(name, kwargs={"pk": pk})).status_code == 200, name
