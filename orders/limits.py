"""How much capacity those who have not paid may reserve: open unpaid orders, and how often one order's hold is renewed.

Paying is the only way to prove that a customer is one, so an account that never paid gets the least.
"""

import ipaddress
from collections.abc import Sequence

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Organization, User
from billing import subscriptions
from billing.models import Payment, PaymentMethod, PaymentState
from catalog.models import Term
from core import site_settings
from orders.models import Order, OrderItem, OrderStatus, ServerTransfer

IPV6_PREFIX = 64  # the smallest network that a provider gives to one customer


class TooManyUnpaidOrders(Exception):
    """The user, the organization or the address would have more unpaid servers than it may; the text says so."""


def network_of(ip: str | None) -> str | None:
    """What unpaid orders are counted by: an IPv4 address itself, the first address of an IPv6 address's network."""
    if ip is None:
        return None
    address = ipaddress.ip_address(ip)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False).network_address)


def require_unpaid_below_limit(*, organization: Organization, user: User, network: str | None, count: int = 1) -> None:
    """Raise TooManyUnpaidOrders where `count` more servers are too many; until the transaction ends, nobody adds one.

    An order of several servers counts as several. Those whose payment a bank processes or staff review are not
    counted: nothing is left to do for their customer. Of a new customer, servers that a coupon made free count too, and
    those that another organization gave them.
    """
    lock_keys([f"unpaid:{key}" for key in (organization.pk, user.pk, network) if key])
    theirs, members = Q(order__placed_by=user), Q(order__organization=organization)
    by = {"user": theirs, "organization": members} | ({"network": Q(order__placed_from=network)} if network else {})
    unpaid = OrderItem.objects.filter(order__status=OrderStatus.PENDING_PAYMENT).exclude(
        order__invoice__payments__state__in=[PaymentState.PROCESSING, PaymentState.UNDER_REVIEW]
    )
    unpaid_servers = unpaid.filter(theirs | members | by.get("network", Q())).aggregate(
        **{name: Count("pk", filter=whose) for name, whose in by.items()}
    )
    limit = {name: site_settings.get(f"orders.max_unpaid_per_{name}") for name in by}
    counted = dict(unpaid_servers)
    if is_new(organization):
        free = OrderItem.objects.filter(order__total_minor=0, subscription__status__in=subscriptions.GOING_ON)
        # What staff took over has no form, and no transfer either.
        received = ServerTransfer.objects.filter(server=OuterRef("server"), new_organization=OuterRef("organization"))
        is_asked_for = Q(order__form_token__isnull=False) | Exists(received)
        free = free.exclude(subscription__term=Term.HOURLY).filter(is_asked_for).filter(theirs | members)
        of_new = site_settings.get("orders.max_unpaid_of_new_customer")
        for name in ("user", "organization"):
            limit[name] = min(limit[name], of_new)
            counted[name] += free.filter(by[name]).count()
    over = [name for name, had in counted.items() if had + count > limit[name]]
    if over:
        text = _("You have too many unpaid orders. Pay or cancel one of them on your home page first.")
        if not unpaid_servers[over[0]]:
            most = limit[over[0]]
            text = ngettext(
                "You can order %(count)s server at a time until you have paid for one or topped up your wallet.",
                "You can order %(count)s servers at a time until you have paid for one or topped up your wallet.",
                most,
            ) % {"count": most}
        raise TooManyUnpaidOrders(text)


def is_new(organization: Organization) -> bool:
    """Whether it never paid anything, nor saved a way to pay."""
    has_paid = Payment.objects.filter(organization=organization, state__in=Payment.RECEIVED).exists()
    return not has_paid and not PaymentMethod.objects.filter(organization=organization).exists()


def lock_keys(keys: Sequence[str]) -> None:
    """Lock names until the transaction ends, in one order for everyone, so that nobody waits in a circle."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(key) FROM "
            "(SELECT hashtextextended(name, 0) AS key FROM unnest(%s::text[]) AS name ORDER BY 1 OFFSET 0) AS keys",
            [list(keys)],
        )


def can_renew_hold(order: Order) -> bool:
    """Whether the order may get another payment, and its reservation more time, after a payment failed."""
    limit: int = site_settings.get("orders.max_payments_per_order")
    return len(order.invoice.payments.all()) < limit
