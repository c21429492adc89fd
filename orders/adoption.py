"""Adoption: a server that a provider has becomes one that an organization subscribes to, as it is.

It has been paid elsewhere until a day, from which on we bill it. Its order is delivered, over nothing: one invoice of
zero says until when it is paid, so that no run bills that time and a change of plan gives nothing back for it.

The order of the locks: the organization's row, while its currency is chosen, then those of `servers.adoption`. Invoice,
subscription and order are new, so nobody else has them.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from allauth.account.models import EmailAddress
from django.utils.translation import gettext as _

from accounts import services as accounts
from accounts.models import Organization, User
from billing import invoicing, subscriptions
from billing.invoicing import Charge, InvoiceLine
from billing.models import Invoice, ItemKind, Period, Subscription
from catalog.models import PlanPrice, Term
from core import site_settings, tenancy
from core.money import Money
from orders import transitions
from orders.models import Order, OrderItem
from servers.adoption import NotAdoptable, adopt_server
from servers.models import Region, RemoteServerSeen, Server
from servers.plan_fits import PlanFit

TERMS = [term for term in Term if term.months]  # an hour is charged only from when a worker has seen the server run


@dataclass(frozen=True)
class Sale:
    """To whom and as what an existing server is sold; the first period that we bill begins at `billed_from`."""

    organization: Organization
    owner: User
    fit: PlanFit
    price: PlanPrice
    billed_from: datetime


def currency_of(organization: Organization) -> str:
    """What the organization pays in: chosen by its first order, else the shop's."""
    return organization.currency if organization.currency_fixed_at else str(site_settings.get("shop.currency"))


def price_of(fit: PlanFit, term: str, organization: Organization) -> PlanPrice | None:
    """The plan's current price for the term, in the currency of the organization."""
    rows = PlanPrice.objects.filter(plan=fit.plan, term=term, currency=currency_of(organization), superseded_at=None)
    return rows.select_related("plan__product").first()


def start_of(day: date) -> datetime:
    """When a day begins, as the billing runs count."""
    return datetime.combine(day, time.min, UTC)


def first_of_next_month(today: date) -> date:
    """The first day of the next month: what was paid elsewhere usually ends then."""
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)


def is_confirmed(owner: User) -> bool:
    """Whether the owner proved that the address is theirs. Who has no password yet can only sign in by proving it."""
    verified = EmailAddress.objects.filter(user=owner, email__iexact=owner.email, verified=True)
    return not owner.has_usable_password() or verified.exists()


def adopt(*, seen: RemoteServerSeen, sale: Sale, actor: User | None, at: datetime) -> Server:
    """The server, with its subscription and its delivered order. Raises NotAdoptable, with nothing changed."""
    organization, price = sale.organization, sale.price
    if sale.billed_from <= at:
        raise NotAdoptable(_("The first day that is billed must be a later one."))
    if not is_confirmed(sale.owner):
        raise NotAdoptable(_("%(owner)s has not confirmed their email address.") % {"owner": sale.owner})
    with tenancy.as_worker(organization):
        try:
            accounts.fix_currency(organization=organization, currency=price.currency, at=at)
        except accounts.CurrencyFixed as error:
            text = _("The organization pays in %(currency)s, in which the plan has no price for this billing cycle.")
            raise NotAdoptable(text % {"currency": error.currency}) from error
        server = adopt_server(seen=seen, organization=organization, owner=sale.owner, fit=sale.fit, actor=actor, at=at)
        subscription = subscriptions.open_subscription(
            organization=organization, plan_price=price, label=server.name, at=at
        )
        item = subscription.items.get()
        line = InvoiceLine(
            kind=ItemKind.PLAN,
            description=_("%(plan)s, paid elsewhere") % {"plan": item.description},
            unit=Money.zero(price.currency),
            subscription=subscription,
            subscription_item=item,
        )
        invoice = invoicing.draft_invoice(organization=organization, currency=price.currency, lines=[line], at=at)
        order = _write_order(server, sale, subscription, invoice=invoice, actor=actor, at=at)
        period = Period(at, sale.billed_from)
        invoicing.pay_charges([Charge(invoicing.lock_invoice(order.invoice_id), first_period=period)], at=at)
        # Later periods begin on the day of the first one that is billed, not on today's.
        Subscription.objects.filter(pk=subscription.pk).update(anchor_day=sale.billed_from.day)
    return server


def _write_order(
    server: Server, sale: Sale, subscription: Subscription, *, invoice: Invoice, actor: User | None, at: datetime
) -> Order:
    """The delivered order, by which the shop knows what the subscription is for."""
    order = transitions.write_delivered(invoice=invoice, placed_by=sale.owner, at=at)
    OrderItem.objects.create(
        order=order,
        organization=sale.organization,
        plan_price=sale.price,
        region=Region.objects.get(locations__nodes=server.node_id),
        server_name=server.name,
        options={"variables": {}},
        build=server.build,
        reservation=server.reservation,
        subscription=subscription,
        server=server,
    )
    transitions.record_changes([order], old={order.pk: ""}, reason="adopted from its provider", actor=actor, at=at)
    return order
