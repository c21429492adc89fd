"""Whole lives of customers: months that the shop bills itself, with all that may happen to their money meanwhile."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

from accounts.models import Organization
from billing import (
    auto_top_ups,
    cancellations,
    checkout,
    grants,
    invoice_payment,
    invoicing,
    price_campaigns,
    subscriptions,
    top_ups,
)
from billing import pausing as billing_pausing
from billing.checkout_options import CheckoutOption
from billing.models import (
    AllocationReversal,
    CancellationReason,
    Dispute,
    GrantKind,
    Invoice,
    InvoiceItem,
    InvoiceState,
    ItemKind,
    Payment,
    PaymentMethod,
    PriceCampaign,
    PriceMove,
    Subscription,
    TaxRate,
)
from billing.payment_methods import make_default
from billing.runs import runner
from catalog import services as catalog
from catalog.models import Coupon, DiscountDuration, PlanPrice, Term
from core import site_settings
from core.ids import uuid7
from core.money import Money
from core.outside import OutsideError
from orders import coupons, pausing
from orders.changes import ending, making
from orders.changes.models import PlanChange
from orders.changes.quoting import ChangeRefused, Selection
from orders.models import Order, OrderItem
from orders.placement import ItemOutOfStock
from orders.prepayment import PrepaymentNeeded
from servers.capacity.reservations import InsufficientCapacity
from servers.models import HoldKind, ServerHold
from tests import shop as shops
from tests.billing import saved_methods
from tests.builders import make_addon, make_addon_price, make_plan, make_price
from tests.faults.histories import CARDS, OUTAGES, History, Nothing, chosen

DAYS = (1, 6, 16)
NOTICE = timedelta(days=31)  # longer than customers are told before
CHARGED = ("pm_card_visa", "pm_card_declineLater")
RUN_EVERY = timedelta(days=4)  # rarer than a shop, so that much is due at once
PERIOD_KINDS = {ItemKind.PLAN: 1, ItemKind.PRORATION: 1, ItemKind.CREDIT: -1}
RETURN = "http://127.0.0.1:8000/thanks/"


class Life(History):
    """A history whose subscriptions the shop renews, with saved cards, coupons, wallets and changes of plan."""

    def begin(self, *, loses_webhooks: bool, card: str, is_taxed: bool) -> None:
        """A customer with two saved cards, of which one is charged, and a server that is paid for a month."""
        super().begin(is_renewed=False, loses_webhooks=loses_webhooks, is_sold=False)
        if is_taxed:
            site_settings.set_value("tax.status", "registered")
            site_settings.set_value("tax.country", "DE")
            TaxRate.objects.create(country="DE", rate=19, valid_from=self.clock.now)
            Organization.objects.update(country="DE", billing_name="Ada")
            self.shop.organization.refresh_from_db()
        product = self.shop.price.plan.product
        plan = make_plan(product, name="2 GB", memory_mib=2048, disk_mib=10240)
        self.plans = [self.shop.price, make_price(plan, minor=2000)]
        self.hourly = make_price(make_plan(product, name="By the hour"), minor=2, term=Term.HOURLY)
        self.addon = make_addon_price(make_addon(product), minor=250)
        Coupon.objects.create(code="HALF", percent=50, duration=DiscountDuration.PERIODS, periods=2)
        for reference in ("pm_card_declineLater", "pm_card_visa"):
            saved_methods.save_card(self.shop.organization, reference)
        site_settings.set_value("billing.max_pause_days", 30)
        self.choose_card(int(card == "pm_card_visa"))
        self.buy(0, CARDS[0])
        self.workers_finish()

    # The customer

    def order(self, price: int) -> None:
        shops.place_order(self.customers[price], at=self.clock.now, plan_price=self.prices[price], is_auto_renewed=True)

    def order_with_coupon(self, plan: int, *, has_addon: bool) -> None:
        item = self.shop.item_request(plan_price=self.plans[plan], addon_prices=(self.addon,) if has_addon else ())
        with suppress(coupons.CouponRefused):
            use = coupons.find_coupon(
                code="half",
                items=[item.priced],
                organization=self.shop.organization,
                user=self.shop.customer,
                at=self.clock.now,
            )
            shops.place_order(self.shop, at=self.clock.now, items=[item], coupon_use=use, is_auto_renewed=True)

    def buy_cart(self, card: str, *, has_addon: bool) -> None:
        """Two servers in one order and one payment."""
        items = [
            self.shop.item_request(server_name="first", plan_price=self.plans[0]),
            self.shop.item_request(
                server_name="second", plan_price=self.plans[1], addon_prices=(self.addon,) if has_addon else ()
            ),
        ]
        shops.place_order(self.shop, at=self.clock.now, items=items, is_auto_renewed=True)
        self.open_payment_page(Order.objects.count() - 1)
        if self.pages:
            self.pay(len(self.pages) - 1, card)

    def order_by_the_hour(self) -> None:
        """Where the wallet pays a week of it."""
        with suppress(PrepaymentNeeded):
            shops.place_order(self.shop, at=self.clock.now, plan_price=self.hourly)

    def top_up(self, minor: int, card: str) -> None:
        with suppress(top_ups.TooManyOpen):
            payment = top_ups.open_top_up(
                organization=self.shop.organization, amount=Money(minor, "USD"), form_token=uuid7(), at=self.clock.now
            )
            self.pay_payment(payment, card)

    def top_up_automatically(self, *, is_active: bool) -> None:
        below, amount = Money(1000, "USD"), Money(2000, "USD")
        named: dict[str, Any] = {"actor": self.shop.customer, "at": self.clock.now}
        auto_top_ups.save(organization=self.shop.organization, below=below, amount=amount, is_active=is_active, **named)

    def give_credit(self, minor: int, days: int | None, kind: GrantKind) -> None:
        """Staff give promotional credit, for some days or for good, or wallet credit."""
        expires = days is not None and kind == GrantKind.PROMOTIONAL
        grants.grant_credit(
            organization=self.shop.organization,
            amount=Money(minor, "USD"),
            kind=kind,
            reason="sorry",
            expires_at=self.clock.now + timedelta(days=days or 0) if expires else None,
            form_token=uuid7(),
            actor=self.shop.customer,
            at=self.clock.now,
        )

    def choose_card(self, index: int) -> None:
        methods = PaymentMethod.objects.filter(organization=self.shop.organization).order_by("created_at")
        make_default(method=chosen(list(methods), index), actor=self.shop.customer)

    def change_plan(self, index: int, plan: int, units: int, card: str) -> None:
        """At once or from the next period on; paid from the wallet, or else with a card."""
        item = OrderItem.objects.get(subscription=chosen(self.lasting(), index))
        selection = Selection(self.plans[plan], [self.addon] * units)
        try:
            change = making.request_change(item=item, selection=selection, actor=self.shop.customer, at=self.clock.now)
            change = making.confirm(change=change, actor=self.shop.customer, at=self.clock.now)
        except (ChangeRefused, making.AnotherChangeOpen):
            return  # the page says why
        if change.invoice_id and not making.pay_with_credit(change=change, at=self.clock.now):
            self.pay_payment(making.open_payment(change=change, at=self.clock.now), card)

    def cancel_change(self, index: int) -> None:
        change = chosen(list(PlanChange.objects.order_by("created_at")), index)
        ending.cancel(change=change, actor=self.shop.customer, at=self.clock.now)

    def change_renewal(self, index: int, wish: str) -> None:
        named: dict[str, Any] = {
            "subscription": chosen(self.lasting(), index),
            "actor": self.shop.customer,
            "at": self.clock.now,
        }
        with suppress(cancellations.NotPossible):
            if wish == "cancel":
                cancellations.cancel(reason=CancellationReason.UNUSED, **named)
            elif wish == "undo":
                cancellations.undo(**named)
            else:
                cancellations.set_auto_renewal(is_auto_renewed=wish == "on", **named)

    def pause_or_resume(self, index: int, days: int) -> None:
        """For so many days after the paid period; none ends the pause that there is."""
        row = chosen(self.lasting(), index)
        named: dict[str, Any] = {"subscription": row, "actor": self.shop.customer, "at": self.clock.now}
        if not days:
            if billing_pausing.end_pause(**named):
                billing_pausing.bill_now(subscription=row, actor=self.shop.customer, at=self.clock.now)
        elif row.current_period_end:
            with suppress(billing_pausing.PauseRefused):
                pausing.pause(until=row.current_period_end + timedelta(days=days), **named)

    def pay_renewal(self, index: int, card: str) -> None:
        """From the invoice's page: with credit, or else on the gateway's page."""
        invoice = chosen(renewals(), index)
        if invoice_payment.pay_with_credit(invoice=invoice, at=self.clock.now):
            return
        option = CheckoutOption("stripe", "", "Card", Money(invoice.total_minor, invoice.currency))
        with suppress(invoicing.MoneyUnderWay, OutsideError, ValueError):
            payment = invoice_payment.open_payment(
                invoice=invoice, option=option, at_most=Money(0, invoice.currency), at=self.clock.now
            )
            if payment:
                self.pay_payment(payment, card)

    def pay_payment(self, payment: Payment, card: str) -> None:
        """On the gateway's page."""
        with suppress(OutsideError, checkout.CheckoutClosed):
            self.pages.append(
                checkout.create_session(payment=payment, success_url=RETURN, cancel_url=RETURN, at=self.clock.now)
            )
            self.pay(len(self.pages) - 1, card)

    # Staff

    def change_prices(self, plan: int, minor: int) -> None:
        """A new price of a plan, and a campaign that moves to it whoever has the plan."""
        price = catalog.offer_price(
            item=self.plans[plan].plan, term=Term.MONTHLY, amount=Money(minor, "USD"), actor="test", at=self.clock.now
        )
        assert isinstance(price, PlanPrice)
        self.plans[plan] = PlanPrice.objects.select_related("plan__product").get(pk=price.pk)
        campaign = PriceCampaign.objects.create(
            name="New prices", plan_price=price, effective_at=self.clock.now + NOTICE
        )
        price_campaigns.announce(campaign=campaign, actor=self.shop.customer, at=self.clock.now)

    def cancel_campaign(self, index: int) -> None:
        campaign = chosen(list(PriceCampaign.objects.order_by("created_at")), index)
        with suppress(price_campaigns.CampaignRefused):
            price_campaigns.cancel(campaign=campaign, actor=self.shop.customer, at=self.clock.now)

    # Time

    def live(self, random: Random, months: int) -> None:
        """Months of acts, each some days after the other, after which everything must hold. Prints what was done."""
        until = self.clock.now + timedelta(days=31 * months)
        while self.clock.now < until:
            name = random.choices(list(ACTS), weights=[4 if name in ORDINARY else 1 for name in ACTS])[0]
            chosen_values = {argument: random.choice(values) for argument, values in ACTS[name].items()}
            days = random.choice(DAYS)
            print(f"{self.clock.now:%d %B}: {name}({chosen_values}), {days} days")  # noqa: T201
            with suppress(Nothing, ItemOutOfStock, InsufficientCapacity):
                getattr(self, name)(**chosen_values)
            self.everything_holds()
            self.time_passes(days)
            self.everything_holds()

    def everything_holds(self) -> None:
        """The books, and what a customer must never meet."""
        self.the_books_hold()
        self.no_time_is_paid_twice()
        self.nobody_is_suspended_while_paid()
        self.nobody_pays_a_new_price_before_its_day_or_without_notice()

    def time_passes(self, days: int) -> None:
        """With a shop's runs: each of these days, or every few."""
        until = self.clock.now + timedelta(days=days)
        while self.clock.now < until:
            self.clock.pass_by(min(until - self.clock.now, RUN_EVERY))
            bill(self.clock.now)
            auto_top_ups.request_due(at=self.clock.now)
            price_campaigns.tell_due(at=self.clock.now)
            for _attempt in range(3):
                shops.run_once(self.clock.pass_by())
            bill(self.clock.now)
        if self.loses_webhooks:
            self.reconcile()
        else:
            shops.deliver_webhooks(self.stripe)

    # What must hold

    def no_time_is_paid_twice(self) -> None:
        for subscription in Subscription.objects.all():
            lines = paid_lines(subscription)
            for instant in {line.period_start for line in lines if line.period_start}:
                assert coverage(lines, instant) <= 1, (subscription, instant)

    def nobody_is_suspended_while_paid(self) -> None:
        held = ServerHold.objects.filter(lifted_at=None, kind=HoldKind.BILLING)
        taken = set(Dispute.objects.exclude(is_won=True).values_list("payment__allocations__invoice", flat=True))
        taken |= set(AllocationReversal.objects.filter(undone_at=None).values_list("allocation__invoice", flat=True))
        for subscription in Subscription.objects.filter(order_item__server__holds__in=held).exclude(
            status__in=subscriptions.OVER
        ):
            lines = [line for line in paid_lines(subscription) if line.invoice_id not in taken]
            assert coverage(lines, self.clock.now) == 0, subscription

    def nobody_pays_a_new_price_before_its_day_or_without_notice(self) -> None:
        notice = timedelta(days=site_settings.get("billing.price_notice_days"))
        for move in PriceMove.objects.filter(applied_at__isnull=False).select_related("campaign"):
            lines = InvoiceItem.objects.filter(
                subscription=move.subscription_id, kind=ItemKind.PLAN, subscription_item__valid_from=move.begins_at
            )
            for line in lines.select_related("invoice"):
                assert move.notified_at is not None
                assert line.period_start is not None
                assert line.period_start >= move.notified_at + notice, line
                assert line.invoice.created_at >= move.campaign.effective_at, line

    def servers_run_while_paid(self) -> None:
        self.nobody_is_suspended_while_paid()

    def lasting(self) -> list[Subscription]:
        """What the first customer has."""
        rows = Subscription.objects.filter(organization=self.shop.organization, status__in=subscriptions.GOING_ON)
        return list(rows.order_by("created_at"))


INDEX = range(6)
PAID = ("pm_card_visa",) * 6 + CARDS
ORDINARY = ("buy", "buy_cart", "order_by_the_hour", "top_up", "pay_renewal", "change_plan", "change_prices")
FLAG = (False, True)
# What may happen between two runs of the shop, with the values of its arguments.
ACTS: dict[str, dict[str, Sequence[Any]]] = {
    "buy": {"price": (0, 1), "card": PAID},
    "order_with_coupon": {"plan": (0, 1), "has_addon": FLAG},
    "buy_cart": {"has_addon": FLAG, "card": PAID},
    "order_by_the_hour": {},
    "open_payment_page": {"index": INDEX},
    "pay": {"index": INDEX, "card": PAID},
    "pause_or_resume": {"index": INDEX, "days": (0, 3, 20)},
    "pay_renewal": {"index": INDEX, "card": PAID},
    "pay_with_credit": {"index": INDEX},
    "top_up": {"minor": (500, 3000, 9000), "card": PAID},
    "top_up_automatically": {"is_active": FLAG},
    "give_credit": {"minor": (300, 2500), "days": (None, 5), "kind": tuple(GrantKind)},
    "choose_card": {"index": INDEX},
    "change_plan": {"index": INDEX, "plan": (0, 1), "units": range(3), "card": PAID},
    "cancel_change": {"index": INDEX},
    "change_renewal": {"index": INDEX, "wish": ("cancel", "undo", "on", "off")},
    "cancel_order": {"index": INDEX},
    "cancel_paid_order": {"index": INDEX},
    "change_prices": {"plan": (0, 1), "minor": (900, 1100, 2100)},
    "cancel_campaign": {"index": INDEX},
    "refund": {"index": INDEX, "part": (1, 300, None)},
    "refund_at_stripe": {"index": INDEX, "part": (200, None)},
    "decide_review": {"index": INDEX, "is_accepted": FLAG},
    "dispute": {"index": INDEX, "part": (250, None)},
    "dispute_ends": {"index": INDEX, "outcome": ("won", "lost")},
    "debit_ends": {"outcome": ("succeed", "fail")},
    "outage": {"outage": OUTAGES, "kind": ("lose_answer", "status", "drop")},
    "workers_finish": {},
}


def bill(at: datetime) -> None:
    """What the shop's schedule does every hour."""
    for kind in runner.STEPS:
        run = runner.execute(kind, at=at)
        assert run.skipped == {}, run.skipped


def renewals() -> list[Invoice]:
    """Issued invoices with a due date that are not paid."""
    unpaid = Invoice.objects.filter(state__in=(InvoiceState.OPEN, InvoiceState.OVERDUE), due_at__isnull=False)
    return list(unpaid.order_by("created_at"))


def paid_lines(subscription: Subscription) -> list[InvoiceItem]:
    """What was paid, and credited for what was not used, of the subscription's plan."""
    lines = subscription.invoice_items.filter(
        kind__in=PERIOD_KINDS,
        subscription_item__plan_price__isnull=False,
        invoice__state=InvoiceState.PAID,
        period_start__isnull=False,
    )
    return list(lines)


def coverage(lines: Iterable[InvoiceItem], instant: datetime) -> int:
    """How often the instant is paid for."""
    return sum(
        PERIOD_KINDS[ItemKind(line.kind)]
        for line in lines
        if line.period_start and line.period_end and line.period_start <= instant < line.period_end
    )
