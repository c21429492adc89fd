"""Reads of subscriptions with the servers that they pay for, under row-level security."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import F

from accounts.models import Organization
from accounts.permissions import Access, Action
from billing import charging, pausing, tax
from billing.charging import Charger, Charging
from billing.models import BillingMode, Invoice, ItemKind, Reminder, Subscription, SubscriptionItem, SubscriptionStatus
from billing.queries import DUE, invoices_for
from billing.subscriptions import GOING_ON
from catalog.models import Term
from core.compiled import compiled
from core.money import Money, Rate
from orders.models import OrderStatus
from servers import resizing
from servers.models import HoldKind, Server, ServerHold, ServerStatus

SHOWN = (*GOING_ON, SubscriptionStatus.ENDED)


@dataclass(frozen=True)
class Renewal:
    """A subscription as its page shows it at `at`, with what is charged for its next period."""

    subscription: Subscription
    charging: Charging
    at: datetime

    @property
    def next_amount(self) -> Money | Rate:
        """What its next period costs, with the discounts that last so long; tax comes on top where prices are net.

        An hour's price is exact, however fine.
        """
        if self.is_hourly:
            return Rate(self.subscription.exact_minor, self.subscription.currency)  # type: ignore[attr-defined]
        return Money(self.subscription.next_minor, self.subscription.currency)  # type: ignore[attr-defined]

    @property
    def is_hourly(self) -> bool:
        """Whether its hours are charged from the wallet as they are used."""
        return self.subscription.term == Term.HOURLY

    @property
    def is_going_on(self) -> bool:
        """Whether it began and has not ended."""
        return self.subscription.status in GOING_ON

    @property
    def is_unpaid(self) -> bool:
        """Whether its paid time is over, and nothing is charged for more of it."""
        end, is_unpaid = self.subscription.current_period_end, self.charging.charger == Charger.NOTHING
        return is_unpaid and not self.is_hourly and end is not None and end <= self.at

    @property
    def can_change_plan(self) -> bool:
        """Whether the page that changes the plan offers anything now, by what is known without asking for more."""
        row = self.subscription
        is_paid = self.is_hourly or (row.current_period_end is not None and row.current_period_end > self.at)
        is_delivered = row.order_status == OrderStatus.ACTIVE and row.server_status in resizing.RESIZABLE  # type: ignore[attr-defined]
        is_ours = row.billing_mode == BillingMode.SELF and row.status == SubscriptionStatus.ACTIVE
        return is_ours and is_paid and is_delivered and row.pauses_until is None

    @property
    def can_pause(self) -> bool:
        """Whether its customer is offered a pause; the page of it says what else stands against it."""
        row = self.subscription
        return pausing.is_offered(row) and row.status == SubscriptionStatus.ACTIVE and row.server_id is not None  # type: ignore[attr-defined]

    @property
    def can_undo(self) -> bool:
        """Whether its customer canceled it; what ends because its money went back is not renewed again."""
        return bool(self.subscription.cancellation_reason) and self.is_going_on


@dataclass(frozen=True)
class UnpaidHours:
    """The hours that a suspended server ran unpaid, what they cost with tax, and until when it is kept."""

    hours: int
    amount: Money
    deletes_at: datetime


def subscriptions_for(access: Access, action: Action) -> "models.QuerySet[Subscription]":
    """The subscriptions that began, and to which the user may do the action, with what their page shows.

    `server_name` is the server's, or as it was ordered; `summary` is the plan; `server_id` its server, also None, as
    `server_status` then is; `order_status` that of its order.
    """
    plan = SubscriptionItem.objects.filter(
        subscription=models.OuterRef("pk"), kind=ItemKind.PLAN, valid_from__isnull=False
    )
    rows = Subscription.objects.filter(organization__in=access.organizations(action), status__in=SHOWN).annotate(
        summary=models.Subquery(plan.order_by("-valid_from").values("description")[:1]),
        server_id=F("order_item__server"),
        server_status=F("order_item__server__status"),
        order_status=F("order_item__order__status"),
        server_name=models.functions.Coalesce(F("order_item__server__name"), F("order_item__server_name")),
    )
    return charging.with_charging(rows).fetch_mode(models.FETCH_RAISE)


def subscriptions_of(access: Access, organization: Organization) -> "models.QuerySet[Subscription]":
    """The organization's subscriptions: those that go on first, the next to renew at the top."""
    rows = subscriptions_for(access, Action.SUBSCRIPTION_VIEW).filter(organization=organization)
    return rows.order_by(F("ended_at").desc(nulls_first=True), "current_period_end", "pk")


def renewals_of(subscriptions: Iterable[Subscription], *, at: datetime) -> list[Renewal]:
    """Each row of `subscriptions_for` with what is charged for it."""
    rows = list(subscriptions)
    charged = charging.charging_of(rows, at=at)
    return [Renewal(row, charged[row.pk], at) for row in rows]


_subscriptions_of_servers = compiled(
    lambda access, server_ids: subscriptions_for(access, Action.SUBSCRIPTION_VIEW).filter(
        order_item__server__in=server_ids
    )
)


def renewals_of_servers(access: Access, server_ids: Collection[UUID], *, at: datetime) -> dict[UUID, Renewal]:
    """What pays for these servers, by the server's id; nothing where the user may not see it."""
    rows = _subscriptions_of_servers(access, tuple(server_ids))
    return {renewal.subscription.server_id: renewal for renewal in renewals_of(rows, at=at)}  # type: ignore[attr-defined]


def pauses_of_servers(access: Access, server_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When the pauses of these servers end, by the server's id, where the user may see it and nothing else holds it."""
    others = ServerHold.objects.filter(server=models.OuterRef("order_item__server"), lifted_at=None)
    rows = Subscription.objects.filter(
        ~models.Exists(others.exclude(kind=HoldKind.BILLING)),
        organization__in=access.organizations(Action.SUBSCRIPTION_VIEW),
        order_item__server__in=server_ids,
        status=SubscriptionStatus.PAUSED,
    )
    return {server: until for server, until in rows.values_list("order_item__server", "pauses_until") if until}


def paused_of(access: Access, servers: Iterable[Server]) -> Collection[UUID]:
    """The ids of those servers that are paused, as far as the user may see their subscriptions. One query at most."""
    suspended = [server.pk for server in servers if server.status == ServerStatus.SUSPENDED]
    return pauses_of_servers(access, suspended) if suspended else ()


def unpaid_hours_of(access: Access, server: Server, *, at: datetime) -> UnpaidHours | None:
    """What a server ran that its wallet does not pay by the hour; None where it is paid, or the user may not see it."""
    rows = subscriptions_for(access, Action.SUBSCRIPTION_VIEW).select_related("organization")
    row = rows.filter(order_item__server=server, status=SubscriptionStatus.SUSPENDED).first()
    if row is None or row.unpaid_deletes_at is None:
        return None
    cost = Rate(row.exact_minor, row.currency).times(row.unpaid_hours)  # type: ignore[attr-defined]
    owed = tax.assess(organization=row.organization, amounts=[cost], currency=row.currency, at=at).total
    return UnpaidHours(row.unpaid_hours, owed, row.unpaid_deletes_at)


def unpaid_invoice_of(access: Access, server: Server) -> Invoice | None:
    """The oldest unpaid invoice that bills the server, with `deletes_at`, which its last reminder named."""
    told = Reminder.objects.filter(invoice=models.OuterRef("pk")).order_by("-sent_at").values("deletes_at")[:1]
    rows = invoices_for(access, Action.INVOICE_VIEW).filter(
        state__in=DUE, items__subscription__order_item__server=server
    )
    return rows.annotate(deletes_at=models.Subquery(told)).order_by("issued_at", "pk").first()
