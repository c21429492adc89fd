"""A shop with something in every state, and two users: what the screenshots are taken of."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.models import AccessLevel, Membership, Organization, Role, User
from billing import cancellations, credit, invoicing, payment_methods, refunds, subscriptions, top_ups
from billing.gateways.base import SavedCard
from billing.invoicing import InvoiceLine
from billing.models import (
    BankTransfer,
    CancellationReason,
    GatewayAccount,
    Invoice,
    ItemKind,
    Payment,
    PaymentMethod,
    PaymentState,
    Refund,
    Subscription,
)
from billing.runs import pauses, runner
from catalog.models import Plan, PlanPrice, Term
from catalog.services import offer_price
from core import site_settings, work
from core.money import Money, Rate
from nodebyte.seeding import catalog, panel
from orders import cancellation, holds
from orders.affiliates import commissions, links
from orders.affiliates.models import Referral
from orders.changes import locking, making
from orders.changes.offers import change_offer
from orders.changes.quoting import Selection
from orders.models import Order, OrderItem, ServerTransfer
from orders.waitlist import entries as waitlist
from orders.waitlist import offering
from sandbox.client import Sandbox
from servers.drivers.base import PowerAction
from servers.live import power
from servers.models import Node, Provider, Region, Server, ServerAccess
from tests.billing.sales import accept, make_sale
from tests.billing.test_grants import give
from tests.browser.machines import make_machines, make_sections
from tests.sandbox_fixtures import STRIPE_KEY, WEBHOOK_SECRET
from tests.shop import (
    Clock,
    Shop,
    allow_unpaid_orders,
    create_session,
    deliver_webhooks,
    make_customer,
    place_order,
    run_once,
    run_until_idle,
)

AGENT, HERE = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "203.0.113.7",
)
LONG_NAME = "Die wunderbare Welt der außergewöhnlich langen Servernamen Nr. 7"


@dataclass(frozen=True)
class Gallery:
    """Addresses by name, and sessions: of `owner`, who has everything, of `newcomer`, of `saver`, who has credit,
    and of `member`, who may look at one server of the owner's."""

    addresses: dict[str, str]
    sessions: dict[str, str]


def seed(sandbox: Sandbox, *, at: datetime | None = None) -> None:
    """The catalog and the panel of `manage.py seed`."""
    at = at or datetime.now(tz=UTC)
    catalog.seed_catalog(at=at)
    keys = sandbox.panel_keys()
    provider = panel.connect_panel(
        name="Panel", base_url=keys["url"], application_key=keys["application"], client_key=keys["client"], at=at
    )
    panel.seed_blueprints(provider, panel.match_eggs(provider), is_accepted=True)
    panel.seed_regions(provider)


def make_gallery(sandbox: Sandbox) -> Gallery:
    """Buy servers and orders into each state. Wants Stripe's settings to point at the stand-in."""
    past = Clock(sandbox, datetime.now(tz=UTC) - timedelta(days=40))
    seed(sandbox, at=past.now)
    owner = make_customer("ada@example.test", first_name="Ada", last_name="Lovelace")
    newcomer = make_customer("grace@example.test")
    saver = make_customer("mary@example.test", first_name="Mary", last_name="Somerville")
    allow_unpaid_orders()
    site_settings.set_value("orders.reservation_minutes", 1380)  # all pages are looked at before an order is canceled
    site_settings.set_value("shop.support_email", "help@nodebyte.example")
    clock = Clock(sandbox)
    hourly = Plan.objects.get(code="mc-4gb")
    offer_price(item=hourly, term=Term.HOURLY, amount=Rate(Decimal("1.15"), "USD"), actor="gallery", at=clock.now)
    sandbox.panel_settings(rate_limits={"application": 100_000, "client": 100_000})
    made = {"server suspended": _page("servers:detail", _unpaid(sandbox, owner, past).pk)}
    made |= _servers(sandbox, owner, clock) | _orders(sandbox, owner, clock) | _credit(sandbox, saver, clock)
    _affiliate(owner, saver, clock)
    _renewed_by_its_only_card(saver, clock)
    _add_gateway_account()
    made |= make_machines(sandbox, owner, clock)
    _wait(owner, clock)
    made |= _transfers(owner, saver, clock)
    made["choose top-up"] = _page("wallet:pay_top_up", _top_up(owner).pk)
    member = _member(owner)
    users = {"owner": owner, "newcomer": newcomer, "saver": saver, "member": member}
    sessions = {name: _session(user) for name, user in users.items()}
    return Gallery(made | _email_links(newcomer), sessions)


def _transfers(owner: User, saver: User, clock: Clock) -> dict[str, str]:
    """What somebody offers to the owner, and where the owner offers a server."""
    item = OrderItem.objects.filter(organization__owner=saver).order_by("pk")[0]
    offered = ServerTransfer.objects.create(
        organization_id=item.organization_id,
        item=item,
        recipient=owner,
        recipient_email=owner.email,
        offered_by=saver,
        offerer_name=saver.full_name,
        server_name=item.server_name,
        description="Minecraft 4 GB, 1 GB more memory",
        recurring_minor=1050,
        currency="USD",
        term=Term.MONTHLY,
        paid_until=clock.now + timedelta(days=12),
        offered_at=clock.now,
        expires_at=clock.now + timedelta(days=7),
    )
    server = Server.objects.get(name="lantern-smp")
    return {"transfer": _page("orders:transfer", offered.pk), "offer server": _page("orders:offer_server", server.pk)}


def _wait(owner: User, clock: Clock) -> None:
    """The owner waits for two plans; one of them is back."""
    organization, region = owner.owned_organizations.get(), Region.objects.get(code="eu")
    for code in ("mc-8gb", "mc-2gb"):
        plan = Plan.objects.get(code=code)
        waitlist.join(organization=organization, plan=plan, region=region, actor=owner, at=clock.now)
        if code == "mc-8gb":
            Plan.objects.filter(pk=plan.pk).update(stock=0)
    offering.advance(at=clock.now)


def _member(owner: User) -> User:
    """Somebody whom the owner let look at the running server."""
    member = make_customer("joan@example.test", first_name="Joan", last_name="Clarke")
    server = Server.objects.get(name="lantern-smp")
    Membership.objects.create(organization=server.organization, user=member, role=Role.MEMBER)
    ServerAccess.objects.create(organization=server.organization, server=server, user=member, level=AccessLevel.VIEW)
    return member


def _affiliate(owner: User, saver: User, clock: Clock) -> None:
    """The owner brought one customer, and earned from another time."""
    site_settings.set_value("affiliates.are_enabled", True)
    affiliate = commissions.join(organization=owner.owned_organizations.get(), actor=owner)
    links.record_click(code=affiliate.code, at=clock.now)
    order = Order.objects.filter(organization__owner=saver).order_by("pk")[0]
    Referral.objects.create(
        affiliate=affiliate,
        organization_id=affiliate.organization_id,
        customer_id=order.organization_id,
        order=order,
        currency="USD",
        percent=20,
        commission_minor=160,
        paid_at=clock.now,
        hold_until=clock.now + timedelta(days=30),
    )


def _unpaid(sandbox: Sandbox, owner: User, past: Clock) -> Server:
    """A server bought with credit 40 days ago, whose next month was billed, reminded of, and never paid."""
    sandbox.set_clock(past.now.timestamp())
    shop = _shop(sandbox, owner, "palworld-16gb")
    give(shop.organization, shop.price.amount_minor, at=past.now)
    order = place_order(shop, at=past.now, server_name=LONG_NAME, uses_credit=True)
    payment = order.invoice.payments.get()
    credit.use_credit(payment=payment, at_most=payment.amount, at=past.now)
    run_until_idle(past)
    server = _server(order)
    for _day in range(40):
        for kind in runner.STEPS:
            runner.execute(kind, at=past.now)
        work.run_due(at=past.pass_by(timedelta(days=1)))
    sandbox.set_clock(None)
    return server


def _servers(sandbox: Sandbox, owner: User, clock: Clock) -> dict[str, str]:
    names = {"running": "lantern-smp", "stopped": "Night shift", "installing": "atlas", "paused": "winter-sleep"}
    plans = {"running": "mc-4gb", "stopped": "terraria-2gb", "installing": "factorio-4gb", "paused": "mc-4gb"}
    bought = {state: _bought(_shop(sandbox, owner, plans[state]), names[state], clock) for state in names}
    sandbox.panel_settings(install_seconds=5.0)
    delivered = ("running", "stopped", "paused")
    for state in delivered:
        _pay(sandbox, bought[state], clock)
    run_until_idle(clock)
    found = {state: _server(bought[state]) for state in delivered}
    power.request_power_action(server=found["stopped"], action=PowerAction.STOP, actor=owner, at=clock.now)
    _pause(found["paused"], clock)
    run_until_idle(clock)
    sandbox.panel_settings(install_seconds=100_000.0)
    _pay(sandbox, bought["installing"], clock)
    run_until_idle(clock, steps=8, step=timedelta(seconds=2))
    found["installing"] = _server(bought["installing"])
    # Requested, and refused by the bank, with those of `_undelivered`.
    payment = Payment.objects.get(invoice=bought["stopped"].invoice_id)
    refunds.refund_payment(payment=payment, amount=payment.refundable, reason="asked", actor=None, at=clock.now)
    transferred = _to_transfer(_shop(sandbox, owner, plans["running"]), clock)
    addresses = {f"server {state}": _page("servers:detail", server.pk) for state, server in found.items()}
    addresses |= make_sections(found["running"], owner, clock)  # before the quote below, which holds for half an hour
    changed = locking.item_to_change(found["running"].order_item.pk)
    assert changed.server is not None
    offer = change_offer(changed.subscription, changed.server, clock.now)
    largest = Selection(max(offer.plans(), key=lambda price: price.amount_minor))
    quoted = making.request_change(item=changed, selection=largest, actor=owner, at=clock.now)
    canceled = found["stopped"].order_item.subscription
    cancellations.cancel(subscription=canceled, reason=CancellationReason.UNUSED, actor=owner, at=clock.now)
    cards = _cards(owner, clock.now)
    return (
        addresses
        | cards
        | {
            "bank transfer": _page("billing:transfer", transferred.payment_id),
            "cancel subscription": _page("subscriptions:cancel", found["running"].order_item.subscription_id),
            "pause subscription": _page("subscriptions:pause", found["running"].order_item.subscription_id),
            "choose plan": _page("orders:choose_plan", found["running"].pk),
            "plan change quoted": _page("orders:plan_change", quoted.pk),
            "order active": _page("orders:progress", bought["running"].pk),
            "order provisioning": _page("orders:progress", bought["installing"].pk),
            "invoice paid": _page("billing:invoice", bought["running"].invoice_id),
            "invoice credit note void": _page("billing:invoice", bought["stopped"].invoice_id),
        }
    )


def _pause(server: Server, clock: Clock) -> None:
    """Its paid time is over just now."""
    site_settings.set_value("billing.max_pause_days", 60)
    row = server.order_item.subscription
    until = clock.now + timedelta(days=40)
    Subscription.objects.filter(pk=row.pk).update(current_period_end=clock.now, pauses_until=until)
    pauses.begin([row.pk], clock.now)
    holds.place(Subscription.objects.filter(pk=row.pk), "paused by its customer", clock.now)


def _orders(sandbox: Sandbox, owner: User, clock: Clock) -> dict[str, str]:
    shop = _shop(sandbox, owner, "mc-2gb")
    failed = _bought(shop, "broken-egg", clock)
    sandbox.panel_settings(install_outcome="fail", install_seconds=3.0)
    _pay(sandbox, failed, clock)
    run_until_idle(clock, steps=10)
    canceled = _bought(shop, "second-thoughts", clock)
    cancellation.cancel_unpaid(order=canceled, reason="not wanted", actor=owner, at=clock.now)
    undelivered = _undelivered(sandbox, shop, clock)
    pending = place_order(shop, at=datetime.now(tz=UTC), server_name="saturday")
    placed = {
        "failed": failed,
        "canceled": canceled,
        "pending": pending,
        "under-review": _under_review(shop, clock),
        "processing": _processing(shop, clock),
        **undelivered,
    }
    pages_of = {f"order {state}": _page("orders:progress", order.pk) for state, order in placed.items()}
    return pages_of | {
        "server failed": _page("servers:detail", _server(failed).pk),
        "choose payment": _page("orders:choose_payment", pending.pk),
        "invoice refunded": _page("billing:invoice", undelivered["refunded"].invoice_id),
    }


def _undelivered(sandbox: Sandbox, shop: Shop, clock: Clock) -> dict[str, Order]:
    """Paid orders that were not delivered, by what became of their money."""
    names = ("waiting", "disputed", "dispute-lost", "refunded", "refund-refused", "credited")
    orders = {name: _bought(shop, name, clock) for name in names}
    Node.objects.update(is_enabled=False)
    for order in orders.values():
        page = create_session(order, at=clock.now)
        cancellation.cancel_unpaid(order=order, reason="not paid in time", at=clock.now)
        sandbox.pay(page)
    _bring_events(sandbox, clock)
    paid = {name: Payment.objects.get(invoice=order.invoice_id) for name, order in orders.items()}
    for name in ("disputed", "dispute-lost"):
        sandbox.dispute(str(paid[name].transaction_id))
    for name in ("refunded", "refund-refused"):
        cancellation.cancel_paid(order_id=orders[name].pk, reason="no server", actor=None, at=clock.now)
    refunds.credit_payment(
        payment=paid["credited"], amount=paid["credited"].refundable, reason="no server", actor=None, at=clock.now
    )
    _bring_events(sandbox, clock)
    sandbox.close_dispute(paid["dispute-lost"].disputes.get().reference, "lost")
    for refund in Refund.objects.exclude(payment=paid["refunded"]):
        sandbox.fail_refund(str(refund.transaction_id))
    _bring_events(sandbox, clock)
    Node.objects.update(is_enabled=True)
    return orders


def _credit(sandbox: Sandbox, saver: User, clock: Clock) -> dict[str, str]:
    """Orders that $5.00 of credit pays in part or in full, and one whose money went back both ways."""
    shop, small = _shop(sandbox, saver, "mc-4gb"), _shop(sandbox, saver, "mc-2gb")
    accept(make_sale(price=shop.price, organization=shop.organization).settle(amount=Money(500, "USD")))
    canceled = place_order(shop, at=clock.now, server_name="half-and-half", uses_credit=True)
    asked = canceled.invoice.payments.get()
    credit.use_credit(payment=asked, at_most=asked.amount, at=clock.now)
    page = create_session(canceled, at=clock.now)
    cancellation.cancel_unpaid(order=canceled, reason="not paid in time", at=clock.now)
    Node.objects.update(is_enabled=False)
    sandbox.pay(page)
    _bring_events(sandbox, clock)
    cancellation.cancel_paid(order_id=canceled.pk, reason="no server", actor=None, at=clock.now)
    _bring_events(sandbox, clock)
    Node.objects.update(is_enabled=True)
    at = datetime.now(tz=UTC)
    placed = {
        "part": place_order(shop, at=at, server_name="partly", uses_credit=True),
        "full": place_order(small, at=at, server_name="fully", uses_credit=True),
        "canceled": canceled,
    }
    orders = {f"credit order {name}": _page("orders:progress", order.pk) for name, order in placed.items()}
    return orders | {"credit invoice": _page("billing:invoice", canceled.invoice_id)}


def _renewed_by_its_only_card(saver: User, clock: Clock) -> None:
    organization = saver.owned_organizations.get()
    price = PlanPrice.objects.get(plan__code="mc-2gb", term=Term.MONTHLY, currency="USD")
    card = SavedCard("pm_mary", "visa", "1881", date(2034, 12, 31))
    with transaction.atomic():
        subscription = subscriptions.open_subscription(
            organization=organization, plan_price=price, is_auto_renewed=True, at=clock.now
        )
        subscriptions.activate({subscription: None}, at=clock.now)
        payment_methods.save_method(organization=organization, gateway="stripe", is_live=False, card=card)


def _top_up(owner: User) -> Payment:
    """One that waits for the customer to say how they pay, beside promotional credit."""
    organization, at = owner.owned_organizations.get(), datetime.now(tz=UTC)
    for days in (20, None):
        expires_at = at + timedelta(days=days) if days else None
        give(organization, 500, expires_at, at=at)
    return top_ups.open_top_up(organization=organization, amount=Money(2500, "USD"), form_token=uuid4(), at=at)


def _bring_events(sandbox: Sandbox, clock: Clock) -> None:
    """Webhooks, workers and the scheduled jobs."""
    deliver_webhooks(sandbox, is_repeating=False)
    for _round in range(4):
        run_once(clock.pass_by())


def _shop(sandbox: Sandbox, owner: User, code: str) -> Shop:
    price = PlanPrice.objects.select_related("plan__product").get(plan__code=code, term=Term.MONTHLY)
    organization: Organization = owner.owned_organizations.get()
    return Shop(
        sandbox=sandbox,
        provider=Provider.objects.get(),
        price=price,
        region=Region.objects.get(code="eu"),
        customer=owner,
        organization=organization,
    )


def _bought(shop: Shop, name: str, clock: Clock) -> Order:
    return place_order(shop, at=clock.now, server_name=name)


def _processing(shop: Shop, clock: Clock) -> Order:
    """An order whose bank debit clears."""
    order = _bought(shop, "by-bank-debit", clock)
    Payment.objects.filter(invoice=order.invoice).update(state=PaymentState.PROCESSING, poll_at=None)
    return order


def _under_review(shop: Shop, clock: Clock) -> Order:
    """An order whose payment arrived a cent short."""
    order = _bought(shop, "one-cent-short", clock)
    Payment.objects.filter(invoice=order.invoice).update(
        state=PaymentState.UNDER_REVIEW,
        transaction_id="pi_short",
        received_minor=399,
        received_currency="USD",
        poll_at=None,
    )
    return order


def _to_transfer(shop: Shop, clock: Clock) -> BankTransfer:
    """An order that is to be paid by bank transfer."""
    payment = Payment.objects.get(invoice=_bought(shop, "by-transfer", clock).invoice_id)
    details = {
        "account_holder": "Sandbox Hosting GmbH",
        "account_number": "DE02 1203 0000 0000 2020 51",
        "bank_code": "BYLADEM1001",
        "instructions": "Transfers from abroad take up to three working days.",
    }
    return BankTransfer.objects.create(
        organization=payment.organization,
        payment=payment,
        reference="K7QM4XPABC",
        details=details,
        expires_at=clock.now + timedelta(days=7),
    )


def _add_gateway_account() -> None:
    """A second account, so that customers choose how to pay."""
    GatewayAccount.objects.filter(code="stripe").update(name="Card, wallet or bank debit")
    GatewayAccount.objects.create(
        code="stripe-eu",
        kind="stripe",
        name="SEPA direct debit",
        credentials={"secret_key": STRIPE_KEY, "webhook_secret": WEBHOOK_SECRET},
        position=1,
    )


def _server(order: Order) -> Server:
    return Server.objects.get(order_item__order=order)


def _pay(sandbox: Sandbox, order: Order, clock: Clock) -> None:
    sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(sandbox, is_repeating=False)


def _cards(owner: User, at: datetime) -> dict[str, str]:
    """Two saved cards, an invoice to pay, and one for which the bank wants the owner of the card."""
    organization, gateway = owner.owned_organizations.get(), {"gateway": "stripe", "is_live": False}
    cards = [("visa", "4242", payment_methods.month_end(at.date(), 1)), ("mastercard", "4444", date(2034, 12, 31))]
    PaymentMethod.objects.filter(organization=organization).delete()
    visa, _mastercard = [
        PaymentMethod.objects.create(
            organization=organization,
            reference=f"pm_{brand}",
            brand=brand,
            last4=last4,
            expires_on=expires_on,
            is_default=brand == "visa",
            **gateway,
        )
        for brand, last4, expires_on in cards
    ]
    due, waiting = _left_open(owner, at), _left_open(owner, at)
    Payment.objects.create(
        organization=organization,
        invoice=waiting,
        payment_method=visa,
        amount_minor=waiting.total_minor,
        currency=waiting.currency,
        idempotency_key="charge-to-confirm",
        charge_id="pi_to_confirm",
        charge_requested_at=at,
        failure_code="authentication_required",
        expires_at=at + timedelta(days=7),
        **gateway,
    )
    return {
        "invoice due": _page("billing:invoice", due.pk),
        "invoice pay": _page("billing:pay", due.pk),
        "invoice to confirm": _page("billing:invoice", waiting.pk),
        "invoice confirm": _page("billing:confirm_charge", waiting.pk),
    }


def _left_open(owner: User, at: datetime) -> Invoice:
    """An unpaid invoice."""
    organization = owner.owned_organizations.get()
    line = InvoiceLine(kind=ItemKind.PLAN, description="Palworld 16 GB, monthly", quantity=1, unit=Money(3360, "USD"))
    invoice = invoicing.draft_invoice(organization=organization, currency="USD", lines=[line], at=at)
    Invoice.objects.filter(pk=invoice.pk).update(due_at=at + timedelta(days=9))
    return invoicing.issue_invoice(invoice=invoice, at=at)


def _email_links(user: User) -> dict[str, str]:
    """The links in e-mails."""
    fresh = EmailAddress.objects.create(user=user, email="grace.hopper@example.test", verified=False)
    token = default_token_generator.make_token(user)
    uid = user_pk_to_url_str(user)
    return {
        "confirm": reverse("account_confirm_email", args=[EmailConfirmationHMAC(fresh).key]),
        "confirm broken": reverse("account_confirm_email", args=["no-such-key"]),
        "new password": reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token}),
    }


def _session(user: User) -> str:
    """Sign in a phone and then this browser; the browser's session key."""
    keys = []
    for agent, ip in (
        ("Mozilla/5.0 (Android 16; Mobile) Firefox/152.0", "2001:db8:85a3::8a2e:370:7334"),
        (AGENT, HERE),
    ):
        client = Client()
        client.force_login(user)
        keys.append(str(client.session.session_key))
        UserSession.objects.create(user=user, session_key=keys[-1], user_agent=agent, ip=ip)
    return keys[-1]


def _page(name: str, pk: object) -> str:
    return reverse(name, kwargs={"pk": pk})
