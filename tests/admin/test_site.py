"""The admin site: who may sign in, how, and under which policy; and what its start page shows."""

import re
from datetime import UTC, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import strip_tags

from accounts.models import User
from billing import disputes, ledger, payments
from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.models import AccountKind, Dispute, EntryKind, GatewayBalance, GatewayEvent, Payment
from billing.reports import REPORTS, rows_of
from core import site_settings
from core.ids import uuid7
from core.money import Money
from nodebyte import overview
from orders.models import Order
from servers.models import DriftFinding, Node, Provider, Reservation, Server
from tests.admin.conftest import signed_in_user
from tests.admin.rows import Rows
from tests.billing.sales import make_sale, usd
from tests.builders import PASSWORD, make_plan, make_price, make_product, make_staff, make_user
from tests.servers.builders import (
    make_blueprint,
    make_location,
    make_node,
    make_provider,
    make_reservation,
    region_of,
)
from tests.servers.test_neighbours import make_used

pytestmark = pytest.mark.django_db
INDEX = "/admin/"
SETUP_QUERIES = 7  # of the steps to the first sale


def test_a_visitor_is_sent_to_the_shops_own_sign_in() -> None:
    response = Client().get("/admin/orders/order/", follow=True)

    assert response.redirect_chain[-1][0] == "/accounts/login/?next=/admin/orders/order/"


@pytest.mark.parametrize("next_url", ["//evil.test", "https://evil.test/admin/", "\\\\evil.test", "/profile/", ""])
def test_signing_in_leads_back_to_staff_pages_only(next_url: str) -> None:
    response = Client().get("/admin/login/", {"next": next_url})

    assert response["Location"] == "/accounts/login/?next=/admin/"


def test_staff_sign_in_through_the_shop() -> None:
    user, client = make_staff(), Client()

    response = client.post("/accounts/login/?next=/admin/", {"login": user.email, "password": PASSWORD, "next": INDEX})

    assert response["Location"] == INDEX
    assert client.get(INDEX).status_code == 200


@pytest.mark.parametrize(
    "address", [INDEX, "/admin/login/", "/admin/orders/order/", "/admin/nonsense/", "/admin/jsi18n/"]
)
def test_a_customer_finds_nothing(address: str) -> None:
    client = Client()
    client.force_login(make_user())

    assert client.get(address).status_code == 404


def test_passwords_are_not_entered_in_the_admin(superadmin: Client) -> None:
    assert superadmin.get("/admin/password_change/")["Location"] == "/accounts/password/change/"
    assert superadmin.post("/admin/login/", {"username": "x", "password": "y"}).status_code == 302


def test_staff_sign_out(superadmin: Client) -> None:
    assert superadmin.post("/admin/logout/")["Location"] == "/accounts/login/"
    assert superadmin.get(INDEX).status_code == 302


def test_staff_pages_have_a_policy_of_their_own_and_load_nothing_from_elsewhere(superadmin: Client) -> None:
    policy = superadmin.get(INDEX)["Content-Security-Policy"]
    shops = superadmin.get("/")["Content-Security-Policy"]

    assert "'unsafe-eval'" in policy
    assert "http" not in policy
    assert "unsafe" not in shops


def test_staff_pages_work_as_the_staff_role(superadmin: Client) -> None:
    roles: set[str] = set()

    def note_role(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        roles.add(*context["connection"].connection.execute("SELECT current_user").fetchone())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note_role):
        superadmin.get(INDEX)

    assert "nodebyte_staff" in roles


def trouble(rows: Rows) -> None:
    """One of everything that needs attention."""
    now = timezone.now()
    Server.objects.update(status="failed", failure="no memory left")
    Dispute.objects.update(is_won=True, closed_at=now, lost_minor=0)  # else the order waits for the bank
    Order.objects.update(
        status="waiting_capacity", paid_at=now, placed_at=now, refund_due_at=now + timedelta(hours=5, minutes=1)
    )
    Payment.objects.create(
        organization=rows.organizations[0],
        gateway="stripe",
        amount_minor=800,
        currency="USD",
        received_minor=799,
        received_currency="USD",
        idempotency_key="short",
        transaction_id="pi_short",
        state="under_review",
        review_reason="one cent short",
    )
    Provider.objects.update(health="failing", health_note="the key is refused")
    Node.objects.update(memory_reserved_mib=8000)
    event = {"gateway": "stripe", "type": "charge.succeeded", "payload": {}, "run_at": now}
    GatewayEvent.objects.create(event_id="waiting", received_at=now - timedelta(minutes=7), **event)
    revenue = ledger.account_of(AccountKind.REVENUE, "USD")
    clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
    lines = ledger.transfer(clearing, revenue, Money(1250, "USD"))
    ledger.post_entry(kind=EntryKind.CHARGE, reference="sold", lines=lines, organization=rows.organizations[0], at=now)


def test_the_start_page_shows_what_needs_attention(superadmin: Client) -> None:
    trouble(Rows(1))

    page = superadmin.get(INDEX).content.decode()

    for text in ("no memory left", "one cent short", "the key is refused", "$12.50", "7.8 GB / 8 GB", "1 failed"):
        assert text in page
    assert "nothing here belongs to it" in page
    assert "refunded automatically in 5\xa0hours" in page
    assert "charge.succeeded, 7\xa0minutes ago" in page
    assert "Nothing needs your attention" not in page


def test_each_card_of_the_start_page_leads_to_the_whole_list(superadmin: Client) -> None:
    trouble(Rows(1))
    Dispute.objects.update(closed_at=None, is_won=None)

    page = superadmin.get(INDEX).content.decode()

    lists = re.findall(r'<a href="([^"]+)"[^>]*>See all<', page)
    assert len(lists) == 6
    for address in lists:
        assert superadmin.get(address).context["cl"].result_count >= 1, address


def test_the_start_page_says_that_a_provider_misses_many_servers(superadmin: Client) -> None:
    Rows(1)
    Provider.objects.update(suspected_at=timezone.now())

    page = superadmin.get(INDEX).content.decode()

    assert "Many servers are missing here." in page
    assert page.count('<div role="alert">') == 1
    assert "Nothing needs your attention" not in page


def test_what_a_sync_found_needs_attention(superadmin: Client) -> None:
    provider = make_provider("http://127.0.0.1:9")
    finding = DriftFinding.objects.create(
        provider=provider, kind="orphan", subject="lantern", subject_ref="7", found_at=timezone.now()
    )
    assert "Nothing needs your attention" not in superadmin.get(INDEX).content.decode()

    DriftFinding.objects.filter(pk=finding.pk).update(closed_at=timezone.now())

    assert "Nothing needs your attention" in superadmin.get(INDEX).content.decode()


def test_the_start_page_says_when_nothing_needs_attention(superadmin: Client) -> None:
    assert "Nothing needs your attention" in superadmin.get(INDEX).content.decode()


def test_the_start_page_names_a_currency_without_prices_and_leads_to_the_plans(superadmin: Client) -> None:
    plan = make_price(currency="USD").plan
    make_blueprint(make_provider("http://127.0.0.1:9"), plan)
    assert "Nothing needs your attention" in superadmin.get(INDEX).content.decode()

    site_settings.set_value("shop.currency", "EUR")
    page = superadmin.get(INDEX).content.decode()

    assert "No plan has a price in EUR" in page
    assert f'href="{reverse("admin:catalog_plan_changelist")}"' in page
    assert "Nothing needs your attention" not in page


def test_the_start_page_names_a_product_without_a_blueprint_and_leads_to_a_new_one(superadmin: Client) -> None:
    product = make_price(make_plan(make_product(name="Valheim"))).plan.product

    page = superadmin.get(INDEX).content.decode()

    assert "Valheim has no blueprint" in page
    address = f"{reverse('admin:servers_blueprint_add')}?product={product.pk}"
    assert f'href="{address}"' in page
    assert superadmin.get(address).status_code == 200
    assert "Nothing needs your attention" not in page


def test_the_start_page_says_when_places_are_full_and_who_takes_more_than_their_share(superadmin: Client) -> None:
    now, provider = timezone.now(), make_provider("http://127.0.0.1:9")
    node = make_node(make_location(provider, "eu"), memory_mib=10240)
    empty = make_node(make_location(provider, "us"))
    reserved = make_reservation(make_blueprint(provider), node.location, at=now, expires_at=now + timedelta(hours=1))
    Reservation.objects.filter(pk=reserved.pk).update(created_at=now - timedelta(days=3))
    loud, quiet = make_used(node, "loud", 300, at=now), make_used(node, "quiet", 20, disk=990, at=now)

    page = superadmin.get(INDEX).content.decode()

    # 9 GB are free and 1 GB was taken in thirty days; of the disk there is more.
    full = f"{date_format(now.astimezone(UTC).date() + timedelta(days=270), 'DATE_FORMAT')}, memory"
    lines = [" ".join(unescape(strip_tags(line)).split()) for line in re.findall(r"<li>(.*?)</li>", page, re.DOTALL)]
    for text in (
        *(f"EU region {full}", f"{node.name} node {full}", "US region no date", f"{empty.name} node no date"),
        f"loud {loud.organization}, {node.name} CPU 300 % of 100 %, 188 % of its share",
        f"quiet {quiet.organization}, {node.name} Disk 99 % full",
    ):
        assert text in lines
    for server in (loud, quiet):
        assert reverse("admin:servers_server_change", args=[server.pk]) in page
    assert reverse("admin:servers_region_change", args=[region_of(node.location).pk]) in page
    assert "Nothing needs your attention" not in page


def test_the_start_page_shows_open_disputes(superadmin: Client) -> None:
    Rows(2)
    opened_at = timezone.now() - timedelta(days=3, minutes=1)
    Dispute.objects.update(closed_at=opened_at, is_won=True)
    row = Dispute.objects.all()[0]
    row.evidence_due_at = timezone.now() + timedelta(days=4, minutes=1)
    for reason, is_won, closed_at in (("general", True, opened_at), ("fraudulent", None, None)):
        row.pk, row.reference, row.opened_at = uuid7(), f"dp_{reason}", opened_at
        row.reason, row.is_won, row.closed_at = reason, is_won, closed_at
        row.save(force_insert=True)

    page = superadmin.get(INDEX).content.decode()

    assert "fraudulent" in page
    assert "opened 3\xa0days ago" in page
    assert "evidence due in 4\xa0days" in page
    assert "general" not in page


def test_the_start_page_draws_what_was_earned_each_day_as_the_report_counts_it(superadmin: Client) -> None:
    now = (timezone.now() - timedelta(days=1)).replace(hour=12)
    for days, minor in ((1, 1_500), (3, 2_000)):
        lost = make_sale(at=now - timedelta(days=days, minutes=1), minor=minor)
        lost.settle(at=now - timedelta(days=days, minutes=1))
    make_sale(at=now, minor=1_000).settle(at=now - timedelta(hours=1))
    gateway_dispute = GatewayDispute("dp_1", f"pi_{lost.payment.pk}", usd(500), DisputeStatus.LOST, "fraudulent", now)
    disputes.record_dispute(payment_id=lost.payment.pk, gateway_dispute=gateway_dispute, at=now - timedelta(days=2))
    GatewayBalance.objects.create(
        gateway="stripe", currency="USD", held_minor=3_700, clearing_minor=4_000, read_at=now, differs_since=now
    )

    (line,) = overview.revenue(now)
    page = superadmin.get(INDEX).content.decode()

    reported = [row["revenue"] for row in rows_of(REPORTS[0], since=now - timedelta(days=30), until=now)]
    assert (line.day, line.month) == (usd(1_000), usd(4_000)) == (usd(1_000), usd(sum(reported)))
    assert len(line.bars) == 31
    highest, other = (next(bar for bar in line.bars if f"${dollars}" in bar["text"]) for dollars in ("20.00", "15.00"))
    assert (highest["height"], highest["y"], other["height"]) == (300, 0, 225)
    assert f'height="300"><title>{highest["text"]}</title></rect>' in page
    assert "$37.00" in page
    assert "$40.00 in our books" in page


def query_count(client: Client) -> int:
    site_settings.clear_cache()
    with CaptureQueriesContext(connection) as captured:
        assert client.get(INDEX).status_code == 200
    return len(captured)


def test_the_start_page_makes_a_fixed_small_number_of_queries(superadmin: Client) -> None:
    before = query_count(superadmin)
    trouble(Rows(20))

    # A new shop also has the steps to its first sale, which are asked for no more after it.
    assert query_count(superadmin) == before - SETUP_QUERIES
    assert before <= 43


def test_the_cards_follow_permissions(superadmin: Client) -> None:
    trouble(Rows(1))
    sale = make_sale(at=timezone.now(), minor=4321)
    sale.settle(at=timezone.now())
    payments.fail(payment_id=make_sale(at=timezone.now()).payment.pk, reason="insufficient funds", at=timezone.now())
    everything = overview.overview(signed_in_user(superadmin), at=timezone.now())
    nothing = overview.overview(AnonymousUser(), at=timezone.now())

    assert everything.revenue
    assert [(line["mrr"], line["new"]) for line in everything.recurring or []] == [(usd(4321), usd(4321))]
    assert [line["invoices"] for line in everything.unpaid or []] == [1]
    assert [(line["failure"], line["payments"]) for line in everything.failures or []] == [("insufficient funds", 1)]
    assert everything.sold_and_canceled == {"new": 1, "canceled": 0}
    assert everything.oldest_event
    assert nothing == overview.Overview(at=nothing.at, work=[])


def test_the_search_finds_rows_that_the_user_may_see(superadmin: Client) -> None:
    user: User = make_user("needle@example.com")

    found = superadmin.get("/admin/search/", {"s": "needle"}).content.decode()

    assert reverse("admin:accounts_user_change", args=[user.pk]) in found
