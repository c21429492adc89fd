"""What pays the next period of a subscription: the gateway that renews it, the wallet, a saved method, or nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import (
    BigIntegerField,
    Case,
    DecimalField,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextChoices,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import Organization
from billing import gateway_accounts, tax
from billing.gateways.base import driver_for
from billing.gateways.saved import SavedCharges
from billing.models import (
    AccountKind,
    BillingMode,
    GatewaySubscription,
    LedgerAccount,
    PaymentMethod,
    PriceMove,
    Subscription,
    SubscriptionItem,
    TaxRate,
)
from billing.subscriptions import GOING_ON
from billing.tax import Tax
from core.money import Money


class Charger(TextChoices):
    """What is charged when the period is over. NOTHING: the customer has to pay by hand."""

    GATEWAY = "gateway"
    WALLET = "wallet"
    METHOD = "method"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Charging:
    """What is charged for the next period; `method` is the saved method where it is that."""

    charger: Charger
    method: PaymentMethod | None = None


def moved_minor() -> "QuerySet[Any, Any]":
    """How much more each subscription costs by the price changes that begin with its next period.

    The conditions are those of `runs.price_moves.MOVING`, whose campaign is in force by the day it bills: a move begins
    later than that, and one of a canceled campaign is canceled.
    """
    more = rounded(F("item__quantity") * F("unit_minor")) - rounded(F("item__quantity") * F("item__unit_minor"))
    moves = PriceMove.objects.filter(
        subscription=OuterRef("pk"),
        begins_at__lte=OuterRef("current_period_end"),
        applied_at=None,
        canceled_at=None,
        item__valid_from__lt=OuterRef("current_period_end"),
        item__valid_until=None,
    ).order_by()
    return moves.values("subscription").annotate(minor=Sum(more)).values("minor")


def rounded(amount: Combinable) -> Func:
    """The amount in whole minor units, as every statement of the runs rounds it."""
    return Func(amount, function="billing_round_half_even", output_field=BigIntegerField())


def with_charging(subscriptions: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
    """These with what `charging_of` asks about each: whether a gateway renews it, and what its next period costs.

    `next_minor` is that of the items valid then, without tax where that is added, and `exact_minor` before its items
    are rounded; `wallet_minor` the wallet, and `before_minor` what it pays first, because it renews before.
    """
    renewed = GatewaySubscription.objects.filter(
        subscription=OuterRef("pk"), is_duplicate=False, ended_at=None, cancel_requested_at=None
    )
    payer = {"organization": OuterRef("organization"), "currency": OuterRef("currency")}
    wallet = LedgerAccount.objects.filter(kind=AccountKind.WALLET, **payer)
    period_end, own_end = F("subscription__current_period_end"), OuterRef("current_period_end")
    is_earlier = Q(subscription__current_period_end__lt=own_end) | Q(
        subscription__current_period_end=own_end, subscription__lt=OuterRef("pk")
    )
    valid = SubscriptionItem.objects.filter(
        Q(valid_until=None) | Q(valid_until__gt=period_end), valid_from__lte=period_end
    ).order_by()
    earlier = valid.filter(
        is_earlier,
        **payer,
        subscription__billing_mode=BillingMode.SELF,
        subscription__is_auto_renewed=True,
        subscription__cancels_at_period_end=False,
        subscription__pauses_until=None,
        subscription__status__in=GOING_ON,
    )
    whole, exact_amount = BigIntegerField(), F("quantity") * F("unit_minor")
    amount = rounded(exact_amount)
    before = earlier.values("currency").annotate(minor=Sum(amount)).values("minor")
    own = valid.filter(subscription=OuterRef("pk")).values("subscription")
    exact, priced = (own.annotate(minor=Sum(each)).values("minor") for each in (exact_amount, amount))
    return subscriptions.alias(
        own_minor=Coalesce(Subquery(priced), F("amount_minor"), output_field=whole),
        moved_minor=F("own_minor") + Coalesce(Subquery(moved_minor(), output_field=whole), 0),
    ).annotate(
        is_renewed_by_gateway=Exists(renewed),
        exact_minor=Coalesce(Subquery(exact), 0, output_field=DecimalField()),
        # Nothing is moved where a discount would be more than the prices.
        next_minor=Case(When(moved_minor__gte=0, then="moved_minor"), default="own_minor", output_field=whole),
        wallet_minor=Coalesce(
            Subquery(wallet.values_list(F("balance_minor") + F("promotional_minor"))), 0, output_field=whole
        ),
        before_minor=Coalesce(Subquery(before), 0, output_field=whole),
    )


def charging_of(subscriptions: Sequence[Subscription], *, at: datetime) -> dict[UUID, Charging]:
    """What is charged for the next period of each row of `with_charging`, by its id, as things are now."""
    by_us = [row for row in subscriptions if row.billing_mode == BillingMode.SELF]
    methods = usable_methods({row.organization_id for row in by_us}, {row.currency for row in by_us})
    charging = {}
    rates = tax_rates({row.organization_id for row in by_us}, at)
    for row in subscriptions:
        method = methods.get((row.organization_id, row.currency))
        if row.is_renewed_by_gateway:  # type: ignore[attr-defined]
            charging[row.pk] = Charging(Charger.GATEWAY)
        elif row.billing_mode != BillingMode.SELF or row.cancels_at_period_end or not row.is_auto_renewed:
            charging[row.pk] = Charging(Charger.NOTHING)
        else:
            charging[row.pk] = charging_of_renewed(row, method, rates.get(row.organization_id))
    return charging


def tax_rates(organizations: Collection[UUID], at: datetime) -> dict[UUID, Tax]:
    """The tax of each organization, where the shop adds it to its prices."""
    seller = tax.shop()
    if not seller.adds_tax or not organizations:
        return {}
    rates = list(TaxRate.objects.all())
    buyers = {row.pk: tax.buyer_of(row) for row in Organization.objects.filter(pk__in=organizations)}
    found = {pk: tax.tax_of(seller=seller, buyer=buyer, rates=rates, at=at) for pk, buyer in buyers.items()}
    return {pk: each for pk, each in found.items() if each is not None}


def charging_of_renewed(row: Subscription, method: PaymentMethod | None, taxed: Tax | None) -> Charging:
    """What is charged, or would be, where we renew the subscription automatically."""
    needed = Money(row.before_minor + row.next_minor, row.currency)  # type: ignore[attr-defined]
    if taxed is not None:
        needed += taxed.of(needed, is_inclusive=False)
    if row.wallet_minor >= needed.minor:  # type: ignore[attr-defined]
        return Charging(Charger.WALLET)
    if method is not None and row.current_period_end is not None:
        until = method.expires_on
        if until is None or until >= row.current_period_end.date():
            return Charging(Charger.METHOD, method)
    return Charging(Charger.NOTHING)


def usable_methods(
    organizations: Collection[UUID], currencies: Collection[str]
) -> dict[tuple[UUID, str], PaymentMethod]:
    """The default saved method by (organization's id, currency), where an active account can charge it."""
    defaults = PaymentMethod.objects.filter(organization__in=organizations, is_default=True)
    if not (methods := list(defaults)):
        return {}
    accounts = {
        code: {
            account.code
            for account in gateway_accounts.accounts_for(currency=code, is_auto_renewed=True)
            if isinstance(driver_for(account), SavedCharges)
        }
        for code in currencies
    }
    return {
        (method.organization_id, code): method
        for method in methods
        for code in currencies
        if method.gateway in accounts[code]
    }
