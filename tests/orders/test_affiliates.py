"""Affiliates: a link is followed, a first order is paid, and the commission is held, earned and paid out, or not."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import Organization
from billing import ledger_audit, refunds
from billing.models import AccountKind, Dispute, EntryKind, JournalEntry, LedgerAccount, PaymentMethod
from core import site_settings
from core.money import Money
from orders.affiliates import commissions
from orders.affiliates.models import Affiliate, AffiliateClicks, CommissionPayout, Referral, ReferralStatus
from orders.models import Order
from tests.builders import PASSWORD
from tests.shop import (
    Clock,
    Shop,
    deliver_webhooks,
    form_data,
    make_customer,
    make_customers,
    place_order,
    run_until_idle,
)
from tests.shop import create_session as open_page
from tests.threads import run_at_once

DAY = timedelta(days=1)
CONFIGURE = "/products/minecraft/configure/"


@pytest.fixture
def affiliate(shop: Shop) -> Affiliate:
    site_settings.set_value("affiliates.are_enabled", True)
    organization = make_customer("partner@example.test").owned_organizations.get()
    return commissions.join(organization=organization, actor=organization.owner)


def paid_order(shop: Shop, clock: Clock, code: str) -> Order:
    order = place_order(shop, at=clock.now, affiliate_code=code)
    shop.sandbox.pay(open_page(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    commissions.advance(at=clock.now)
    return order.reload()


def account(kind: AccountKind, affiliate: Affiliate) -> int:
    rows = LedgerAccount.objects.filter(kind=kind, organization=affiliate.organization_id)
    return sum(rows.values_list("balance_minor", flat=True))


def test_an_affiliate_earns_for_a_first_order_after_the_hold_and_moves_it_to_the_wallet_once(
    shop: Shop, clock: Clock, affiliate: Affiliate, client: Client
) -> None:
    landed = client.get(f"/products/?ref={affiliate.code.upper()}&category=sandbox")
    client.get(f"/?ref={affiliate.code}")
    assert landed["Location"] == "/products/?category=sandbox"
    assert client.cookies["ref"].value == affiliate.code
    assert client.get("/?ref=nobody-here").cookies.get("ref") is None
    assert AffiliateClicks.objects.get().count == 1
    # Who signs up without the link is not counted, nor another address of the affiliate's own mailbox.
    for address, name in ((f"/?ref={affiliate.code}", "new"), ("/", "other"), (f"/?ref={affiliate.code}", "Partner+2")):
        visitor = Client()
        visitor.get(address)
        visitor.post("/accounts/signup/", {"email": f"{name}@example.test", "password1": PASSWORD})
    client.force_login(shop.customer)
    page = client.post(CONFIGURE, form_data(shop))["Location"]
    shop.sandbox.pay(page)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    for _twice in range(2):
        commissions.advance(at=clock.now)
    second = paid_order(shop, clock, affiliate.code)
    referral = Referral.objects.get()
    assert (referral.status, referral.commission, referral.order != second) == (
        *(ReferralStatus.PENDING, Money(160, "USD")),
        True,
    )
    assert not JournalEntry.objects.filter(kind=EntryKind.COMMISSION).exists()

    later = clock.now + 31 * DAY
    assert run_at_once(lambda: commissions.advance(at=later), times=2) == []
    assert (account(AccountKind.COMMISSION, affiliate), referral.reload().status) == (160, ReferralStatus.EARNED)
    partner = Client()
    partner.force_login(affiliate.organization.owner)
    text = partner.get("/affiliate/").content.decode()
    assert affiliate.code in text
    assert "$1.60" in text
    assert shop.customer.email not in text
    brought = re.findall(r"<dt>(Clicks|Sign-ups|First orders)</dt>\s*<dd>\s*(\d+)", text)
    assert brought == [("Clicks", "3"), ("Sign-ups", "1"), ("First orders", "1")]
    for _twice in range(2):
        partner.post("/affiliate/pay-out/")

    assert CommissionPayout.objects.get().amount == Money(160, "USD")
    assert (account(AccountKind.COMMISSION, affiliate), account(AccountKind.WALLET, affiliate)) == (0, 160)
    assert "Affiliate commission paid out" in partner.get("/wallet/").content.decode()
    assert ledger_audit.broken_rules() == {}


def refunded(order: Order, clock: Clock) -> None:
    refunds.refund_invoice(invoice=order.invoice, reason="asked", actor=None, at=clock.now)


def disputed(order: Order, clock: Clock) -> None:
    payment = order.invoice.payments.get()
    clock.sandbox.dispute(str(payment.transaction_id))
    deliver_webhooks(clock.sandbox)
    run_until_idle(clock, steps=4)
    clock.sandbox.close_dispute(Dispute.objects.get().reference, "lost")


@pytest.mark.parametrize("taken_back", [refunded, disputed])
def test_a_commission_is_reversed_when_the_money_goes_back_during_the_hold(
    taken_back: Callable[[Order, Clock], None], shop: Shop, clock: Clock, affiliate: Affiliate
) -> None:
    order = paid_order(shop, clock, affiliate.code)

    taken_back(order, clock)
    commissions.advance(at=clock.now + 31 * DAY)
    assert Referral.objects.get().status == ReferralStatus.PENDING  # it may fail, or be won
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    commissions.advance(at=clock.now + 31 * DAY)

    assert Referral.objects.get().status == ReferralStatus.REVERSED
    assert account(AccountKind.COMMISSION, affiliate) == 0
    assert ledger_audit.broken_rules() == {}


def test_nobody_earns_for_their_own_orders(shop: Shop, clock: Clock, affiliate: Affiliate) -> None:
    same_mailbox, same_card = make_customers(shop, 2)
    same_mailbox.customer.email = "Partner+new@example.test"
    same_mailbox.customer.save(update_fields=["email"])
    card: dict[str, Any] = {"gateway": "stripe", "brand": "visa", "last4": "4242", "expires_on": clock.now.date()}
    for number, owner in enumerate((affiliate.organization, same_card.organization)):
        PaymentMethod.objects.create(organization=owner, reference=f"pm_{number}", **card)
    commissions.join(organization=shop.organization, actor=shop.customer)
    own = Affiliate.objects.get(organization=shop.organization).code
    assert place_order(shop, affiliate_code=own).referred_by is None
    assert place_order(same_mailbox, affiliate_code=affiliate.code).referred_by is None
    assert place_order(shop, affiliate_code="no such; code", server_name="atlas").referred_by is None

    paid_order(same_card, clock, affiliate.code)

    referral = Referral.objects.get()
    assert (referral.status, referral.reason) == (ReferralStatus.REFUSED, "the same card")


def test_one_card_of_two_customers_is_seen_although_nobody_saved_it(
    shop: Shop, clock: Clock, affiliate: Affiliate
) -> None:
    partner, friend = make_customers(shop, 2)
    commissions.join(organization=partner.organization, actor=partner.customer)
    own = Affiliate.objects.get(organization=partner.organization)
    paid_order(partner, clock, "")

    paid_order(friend, clock, own.code)

    assert not PaymentMethod.objects.exists()
    assert Referral.objects.get().reason == "the same card"


def test_what_goes_back_after_the_hold_is_taken_from_later_commissions(
    shop: Shop, clock: Clock, affiliate: Affiliate
) -> None:
    order = paid_order(shop, clock, affiliate.code)
    later = clock.now + 31 * DAY
    commissions.advance(at=later)
    assert account(AccountKind.COMMISSION, affiliate) == 160
    refunds.credit_invoice(invoice=order.invoice, at_most=Money(400, "USD"), at=later)
    for _twice in range(2):
        commissions.advance(at=later)
    assert (account(AccountKind.COMMISSION, affiliate), Referral.objects.get().commission_minor) == (80, 80)
    owner = affiliate.organization.owner
    assert owner is not None
    assert len(commissions.pay_out(affiliate=affiliate, actor=owner, at=later)) == 1

    refunds.refund_invoice(invoice=order.invoice.reload(), reason="asked", actor=None, at=clock.now)
    run_until_idle(clock)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    for _twice in range(2):
        commissions.advance(at=later)

    assert (account(AccountKind.COMMISSION, affiliate), Referral.objects.get().status) == (-80, "reversed")
    assert commissions.pay_out(affiliate=affiliate, actor=owner, at=later) == []
    partner = Client()
    partner.force_login(owner)
    assert "taken from what you earn next" in partner.get("/affiliate/").content.decode()
    (other,) = make_customers(shop, 1)
    paid_order(other, clock, affiliate.code)
    commissions.advance(at=clock.now + 31 * DAY)
    assert account(AccountKind.COMMISSION, affiliate) == 80
    assert ledger_audit.broken_rules() == {}


@pytest.mark.parametrize(("fixed", "paid"), [(True, Money(2560, "JPY")), (False, Money(160, "USD"))])
def test_commission_is_paid_out_in_the_currency_that_the_affiliate_buys_in(
    fixed: bool, paid: Money, shop: Shop, clock: Clock, affiliate: Affiliate
) -> None:
    owners = Organization.objects.filter(pk=affiliate.organization_id)
    owners.update(currency="JPY", currency_fixed_at=clock.now if fixed else None)
    paid_order(shop, clock, affiliate.code)
    commissions.advance(at=clock.now + 31 * DAY)
    partner = Client()
    partner.force_login(affiliate.organization.owner)
    if fixed:
        assert "no exchange rate for $1.60" in partner.get("/affiliate/").content.decode()
        partner.post("/affiliate/pay-out/")
        assert account(AccountKind.COMMISSION, affiliate) == 160  # it waits
        with pytest.raises(ValidationError, match="is not a rate"):
            site_settings.set_value("affiliates.exchange_rates", "USD/JPY many")
        site_settings.set_value("affiliates.exchange_rates", "EUR/USD 1.08, USD/JPY 1600")
        assert "$1.60 is ¥2,560 in your wallet" in partner.get("/affiliate/").content.decode()

    partner.post("/affiliate/pay-out/")

    assert CommissionPayout.objects.get().paid == paid
    assert LedgerAccount.objects.get(kind=AccountKind.WALLET, balance_minor__gt=0).currency == paid.currency
    assert owners.get().currency == paid.currency
    assert account(AccountKind.COMMISSION, affiliate) == 0
    assert ledger_audit.broken_rules() == {}
