"""Coupons: what they take off, who may use them and how often, and what becomes of a use when its order ends."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Organization
from billing.models import BillingMode, Payment
from catalog.models import Coupon, DiscountDuration
from core import tenancy
from core.ids import uuid7
from core.money import Money
from orders import cancellation, coupons
from orders.coupons import CouponRefused
from orders.models import CouponRedemption, Order, OrderStatus
from orders.quote import CouponUse, PricedItem, quotes
from tests.billing.test_tax import set_up_shop
from tests.builders import make_organization, make_plan, make_user
from tests.orders.test_quote import make_addon_price as priced_addon
from tests.orders.test_quote import make_price as priced
from tests.shop import (
    Clock,
    Shop,
    allow_unpaid_orders,
    create_session,
    deliver_webhooks,
    form_data,
    make_customers,
    place_order,
    run_until_idle,
)

CONFIGURE = "/products/minecraft/configure/"
TEN = Decimal(10)


def make_coupon(code: str = "WELCOME10", **fields: Any) -> Coupon:
    """A coupon of ten percent off the first period, unless the test says otherwise."""
    given: dict[str, Any] = {} if "amount_minor" in fields else {"percent": TEN}
    return Coupon.objects.create(**{"code": code, "max_per_customer": None} | given | fields)


def use_of(shop: Shop, code: str = "WELCOME10", at: Any = None) -> CouponUse:
    """The coupon as the customer's form finds it."""
    with tenancy.as_worker_without_row():
        return coupons.find_coupon(
            code=code,
            items=[shop.item_request().priced],
            organization=shop.organization,
            user=shop.customer,
            at=at or timezone.now(),
        )


def order_with(shop: Shop, clock: Clock, code: str = "WELCOME10", **fields: Any) -> Order:
    return place_order(shop, at=clock.now, coupon_use=use_of(shop, code, clock.now), **fields)


@pytest.mark.parametrize(
    ("coupon", "price", "off"),
    [
        ({"percent": TEN}, Money(800, "USD"), 80),
        ({"percent": TEN}, Money(805, "USD"), 80),  # 80.5 cents, half to even
        ({"percent": TEN}, Money(815, "USD"), 82),
        ({"percent": Decimal("33.3333")}, Money(999, "USD"), 333),
        ({"percent": TEN}, Money(1255, "JPY"), 126),
        ({"percent": TEN}, Money(12_345, "KWD"), 1230),  # 1.2345 dinars, to the ten fils that can be paid
        ({"percent": TEN}, Money(3_333_300, "IDR"), 333_300),  # Rp 33.333: whole rupiah
        ({"percent": TEN, "cap_minor": 10_000_000, "currency": "IDR"}, Money(200_000_000, "IDR"), 10_000_000),
        ({"percent": Decimal(100)}, Money(799, "USD"), 799),
        ({"amount_minor": 500, "currency": "USD"}, Money(300, "USD"), 300),  # never below zero
        ({"amount_minor": 500, "currency": "USD"}, Money(900, "EUR"), 0),
    ],
)
def test_what_a_coupon_takes_off(coupon: dict[str, Any], price: Money, off: int) -> None:
    assert Coupon(code="x", **coupon).off(price) == Money(off, price.currency)


def test_several_servers_share_one_coupon_to_the_cent_and_setup_fees_stay() -> None:
    items = [PricedItem(priced(minor, 300), [priced_addon(1)]) for minor in (333, 333, 334)]
    coupon = Coupon(code="x", amount_minor=100, currency="USD")

    found = quotes(items, CouponUse(coupon))

    assert [[discount.amount.minor for discount in row.discounts] for row in found] == [[33], [33], [34]]
    assert sum(row.due_today.minor for row in found) == 1000 + 3 + 900 - 100
    free = quotes(items, CouponUse(Coupon(code="x", percent=Decimal(100))))
    assert [row.due_today.minor for row in free] == [300, 300, 300]


def test_an_order_with_a_coupon_asks_for_exactly_the_discounted_price(shop: Shop, clock: Clock) -> None:
    make_coupon()

    order = order_with(shop, clock)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)

    order.refresh_from_db()
    assert (order.total, order.status) == (Money(720, "USD"), OrderStatus.ACTIVE)
    assert [(item.description, item.amount_minor) for item in order.invoice.items.all()] == [
        ("lantern-smp · Minecraft 1 GB", 800),
        ("lantern-smp · Coupon WELCOME10", -80),
    ]
    assert Payment.objects.get().received == Money(720, "USD")
    assert CouponRedemption.objects.get().given_back_at is None


def test_tax_is_computed_of_what_a_coupon_left_on_the_page_the_order_and_the_gateways_page(
    shop: Shop, client: Client
) -> None:
    set_up_shop()
    make_coupon()
    client.force_login(shop.customer)
    page = client.get(CONFIGURE, {"coupon": "WELCOME10"})

    answer = client.post(CONFIGURE, form_data(shop, coupon="WELCOME10"))

    assert page.context["quote"].due_today == Order.objects.get().total == Money(857, "USD")  # 720 and 19 % of it
    assert answer["Location"].startswith(shop.sandbox.stripe_url)  # only where the session asks for as much
    (session,) = shop.sandbox.stripe_state()["checkout.session"]
    assert session["amount_total"] == 857


def test_a_discounted_order_is_renewed_by_us_because_a_gateway_charges_its_own_prices(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_coupon()
    monkeypatch.setattr("billing.gateway_accounts.billing_mode_for", lambda _prices: BillingMode.GATEWAY)

    assert shop.order_request(is_auto_renewed=True).billing_mode == BillingMode.GATEWAY
    assert shop.order_request(is_auto_renewed=True, coupon_use=use_of(shop)).billing_mode == BillingMode.SELF


def test_a_coupon_of_everything_is_delivered_without_a_payment(shop: Shop, clock: Clock) -> None:
    make_coupon(percent=Decimal(100))

    order = order_with(shop, clock)
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE
    assert not Payment.objects.exists()


def test_of_two_who_want_the_last_use_at_once_one_gets_it(shop: Shop, clock: Clock) -> None:
    make_coupon(max_redemptions=1)
    buyers = make_customers(shop, 4)
    uses = [use_of(buyer) for buyer in buyers]  # all of them saw it

    def attempt(number: int) -> str:
        try:
            place_order(buyers[number], at=clock.now, coupon_use=uses[number])
        except CouponRefused:
            return "refused"
        finally:
            connection.close()
        return "placed"

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(attempt, range(4)))

    assert outcomes == ["placed", "refused", "refused", "refused"]
    assert CouponRedemption.objects.count() == Order.objects.count() == 1


@pytest.mark.parametrize("limit", ["max_redemptions", "max_per_customer"])
def test_the_database_refuses_a_use_beyond_the_limit(shop: Shop, clock: Clock, limit: str) -> None:
    allow_unpaid_orders()
    fields: dict[str, Any] = {limit: 1}
    coupon = make_coupon(**fields)
    order_with(shop, clock)
    other = place_order(shop, at=clock.now, server_name="other")

    with pytest.raises(IntegrityError, match="is used up"), tenancy.as_worker(other), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_couponredemption (id, coupon_id, organization_id, order_id, redeemed_at)"
            " VALUES (%s, %s, %s, %s, now())",
            [uuid7(), coupon.pk, other.organization_id, other.pk],
        )


def test_the_uses_of_one_user_count_in_all_of_their_organizations(shop: Shop, clock: Clock) -> None:
    allow_unpaid_orders()
    coupon = make_coupon(max_per_customer=1)
    second = Organization.objects.create(name="Second", slug="second", owner=shop.customer, currency="USD")
    theirs = replace(shop, organization=second)
    use = use_of(theirs)  # seen before the other is ordered
    order_with(shop, clock)

    with pytest.raises(CouponRefused, match="already"):
        use_of(theirs)
    with pytest.raises(CouponRefused, match="already"):
        place_order(theirs, at=clock.now, coupon_use=use)
    order = place_order(theirs, at=clock.now)
    with pytest.raises(IntegrityError, match="is used up"), tenancy.as_worker(order):
        CouponRedemption.objects.create(coupon=coupon, organization=second, order=order, redeemed_at=clock.now)


def test_a_canceled_order_gives_its_coupon_back_once(shop: Shop, clock: Clock) -> None:
    make_coupon(max_per_customer=1)
    order = order_with(shop, clock)
    with pytest.raises(CouponRefused, match="already"):
        use_of(shop)

    cancellation.cancel_unpaid(order=order, reason="changed my mind", actor=shop.customer, at=clock.now)
    given_back_at = CouponRedemption.objects.get().given_back_at
    coupons.give_back(order=order, at=clock.now + timedelta(hours=1))

    assert given_back_at == clock.now == CouponRedemption.objects.get().given_back_at
    assert order_with(shop, clock).total == Money(720, "USD")


def test_another_choice_of_the_same_form_uses_the_coupon_once(shop: Shop, clock: Clock) -> None:
    make_coupon(max_per_customer=1)
    token = uuid7()
    use = use_of(shop)
    first = place_order(shop, token=token, at=clock.now, coupon_use=use)

    assert place_order(shop, token=token, at=clock.now, coupon_use=use) == first
    second = place_order(shop, token=token, at=clock.now, coupon_use=use, server_name="other")

    assert first.reload().status == OrderStatus.CANCELED
    assert CouponRedemption.objects.get(given_back_at=None).order == second
    assert place_order(shop, token=token, at=clock.now, server_name="other").total == Money(800, "USD")


def test_an_order_that_late_money_revives_keeps_its_price_and_takes_its_use_again(shop: Shop, clock: Clock) -> None:
    make_coupon(max_redemptions=1)
    order = order_with(shop, clock)
    assert shop.sandbox.pay(create_session(order, at=clock.now), "pm_usBankAccount_success").is_accepted
    with tenancy.as_worker(order):  # it expired before we heard of the debit
        Payment.objects.update(state="expired", poll_at=None)
    cancellation.cancel_expired(at=clock.now + timedelta(hours=3))
    assert CouponRedemption.objects.get().given_back_at is not None
    other = order_with(make_customers(shop, 1)[0], clock)

    shop.sandbox.clear_debit(shop.sandbox.stripe_state()["payment_intent"][0]["id"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE
    counted = CouponRedemption.objects.filter(given_back_at=None)
    assert {row.order for row in counted} == {order, other}


def test_another_choice_of_the_same_page_can_use_the_same_coupon(shop: Shop, client: Client) -> None:
    make_coupon(max_per_customer=1)
    client.force_login(shop.customer)
    form = form_data(shop, coupon="WELCOME10")
    assert client.post(CONFIGURE, form).status_code == 303

    again = client.post(CONFIGURE, form | {"server_name": "Another"})
    other_page = client.post(CONFIGURE, form_data(shop, coupon="WELCOME10"))

    assert again.status_code == 303
    assert CouponRedemption.objects.get(given_back_at=None).order.items.get().server_name == "Another"
    assert "You have used this coupon already" in str(other_page.context["form"].errors["coupon"])


def test_who_may_not_use_a_coupon_is_told_why(shop: Shop, clock: Clock) -> None:
    soon, ago = clock.now + timedelta(days=1), clock.now - timedelta(days=1)
    make_coupon("SOON", starts_at=soon)
    make_coupon("OVER", ends_at=ago)
    make_coupon("OFF", is_active=False)
    make_coupon("RUPIAH", percent=None, amount_minor=2_500_000, currency="IDR")
    make_coupon("BIG", minimum_minor=801, currency="USD")
    make_coupon("OTHERPLAN").plans.set([make_plan()])
    make_coupon("OTHERUSER").organizations.set([make_organization()])
    make_coupon("OURS").organizations.set([shop.organization])
    make_coupon("MINE").users.set([shop.customer])  # whichever organization they order for
    make_coupon("THEIRS").users.set([make_user()])
    make_coupon("NONE", max_redemptions=0)

    def reason(code: str) -> str:
        try:
            use_of(shop, code, clock.now)
        except CouponRefused as error:
            return str(error)
        return ""

    assert {code: reason(code)[:30] for code in ("ours", "MINE", "nonsense", "OFF")} == {
        "ours": "",  # capitals are the same
        "MINE": "",
        "nonsense": "We do not know this code. Chec",
        "OFF": "We do not know this code. Chec",
    }
    assert reason("SOON").startswith("This coupon is valid from ")
    assert reason("OVER") == "This coupon has expired."
    assert reason("RUPIAH") == "This coupon is for orders in IDR only."
    assert reason("BIG") == "This coupon is for orders of at least $8.01."
    assert reason("OTHERPLAN") == "This coupon is not for the plan that you chose."
    assert reason("OTHERUSER") == reason("THEIRS") == "This coupon is for another customer."
    assert reason("NONE") == "This coupon has been used up."


def test_the_form_says_beside_the_field_why_a_code_is_refused_and_orders_nothing(shop: Shop, client: Client) -> None:
    client.force_login(shop.customer)

    applied = client.post(CONFIGURE, form_data(shop, coupon="NOPE", reprice="1"))
    ordered = client.post(CONFIGURE, form_data(shop, coupon="NOPE"))

    assert (applied.status_code, ordered.status_code) == (200, 422)
    for answer in (applied, ordered):
        assert 'id="id_coupon_error"' in answer.content.decode()
        assert "We do not know this code" in answer.content.decode()
    assert not Order.objects.exists()


def test_a_code_is_applied_without_a_script_and_the_order_has_it(shop: Shop, client: Client) -> None:
    make_coupon(duration=DiscountDuration.PERIODS, periods=2)
    visitor = client.post(CONFIGURE, form_data(shop, coupon="welcome10", reprice="1")).content.decode()
    client.force_login(shop.customer)

    ordered = client.post(CONFIGURE, form_data(shop, coupon="welcome10"))

    assert "Coupon WELCOME10" in visitor
    assert "−$0.80" in visitor
    assert "$7.20" in visitor
    assert "After 2 payments it renews at $8.00/month" in visitor
    assert ordered.status_code == 303
    assert Order.objects.get().total == Money(720, "USD")


def test_a_coupon_that_leaves_less_than_can_be_charged_is_refused(shop: Shop, client: Client) -> None:
    make_coupon(percent=Decimal(97))
    client.force_login(shop.customer)

    answer = client.post(CONFIGURE, form_data(shop, coupon="WELCOME10"))

    assert "cannot charge less than $0.50" in str(answer.context["form"].errors["coupon"])
    assert not Order.objects.exists()


def test_codes_cannot_be_guessed_one_after_the_other(shop: Shop, client: Client) -> None:
    make_coupon()
    for number in range(20):
        client.get(CONFIGURE, {"coupon": f"GUESS{number}"})

    answer = client.get(CONFIGURE, {"coupon": "WELCOME10"}).content.decode()

    assert "You have tried too many codes" in answer
    assert "Coupon WELCOME10" not in answer


def test_of_what_makes_servers_free_each_server_is_a_use(shop: Shop, clock: Clock) -> None:
    """One use for nothing would else be as many servers as a cart holds."""
    allow_unpaid_orders()
    make_coupon(percent=Decimal(100), max_per_customer=3)
    items = [shop.item_request(server_name=name) for name in ("one", "two")]
    use = use_of(shop)
    place_order(shop, at=clock.now, coupon_use=use, items=items)

    with pytest.raises(CouponRefused, match="for 1 more server, and your order has more"):
        place_order(shop, at=clock.now, coupon_use=use, items=items)
    order_with(shop, clock)
    with pytest.raises(CouponRefused, match="already"):
        use_of(shop)


@pytest.mark.parametrize(
    ("fields", "minor"), [({"percent": None, "amount_minor": 100, "currency": "USD"}, 1500), ({"percent": 10}, 1440)]
)
def test_any_other_coupon_is_used_once_for_an_order_however_many_servers_it_has(
    shop: Shop, clock: Clock, fields: dict[str, Any], minor: int
) -> None:
    make_coupon(max_per_customer=1, **fields)
    items = [shop.item_request(server_name=name) for name in ("one", "two")]

    assert place_order(shop, at=clock.now, coupon_use=use_of(shop), items=items).total == Money(minor, "USD")


@pytest.mark.parametrize("code", ["a\0", "a b"])
def test_what_can_be_no_code_is_a_wrong_code(shop: Shop, client: Client, code: str) -> None:
    for answer in (client.get(CONFIGURE, {"coupon": code}), client.post(CONFIGURE, form_data(shop, coupon=code))):
        assert "coupon" in answer.context["form"].errors
    for _number in range(20):
        client.get(CONFIGURE, {"coupon": code})
    assert "You have tried too many codes" in client.get(CONFIGURE, {"coupon": "OTHER"}).content.decode()
