"""What pays the next period of a subscription: the gateway that renews it, the wallet, a saved method, or nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet, Subquery, Sum, TextChoices
from django.db.models.functions import Coalesce

from billing import gateway_accounts
from billing.gateways.base import driver_for
from billing.gateways.saved import SavedCharges
from billing.models import (
    AccountKind,
    BillingMode,
    GatewaySubscription,
    LedgerAccount,
    PaymentMethod,
    Subscription,
    SubscriptionStatus,
)


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


def with_charging(subscriptions: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
    """These with what `charging_of` asks about each: whether a gateway renews it, and what the wallet has left for it.

    The wallet first pays what renews before it.
    """
    renewed = GatewaySubscription.objects.filter(
        subscription=OuterRef("pk"), is_duplicate=False, ended_at=None, cancel_requested_at=None
    )
    wallet = LedgerAccount.objects.filter(
        kind=AccountKind.WALLET, organization=OuterRef("organization"), currency=OuterRef("currency")
    )
    is_earlier = Q(current_period_end__lt=OuterRef("current_period_end")) | Q(
        current_period_end=OuterRef("current_period_end"), pk__lt=OuterRef("pk")
    )
    earlier = Subscription.objects.filter(
        is_earlier,
        organization=OuterRef("organization"),
        currency=OuterRef("currency"),
        billing_mode=BillingMode.SELF,
        is_auto_renewed=True,
        cancels_at_period_end=False,
        status__in=[SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE],
    )
    before = earlier.order_by().values("currency").annotate(minor=Sum("amount_minor")).values("minor")
    whole = BigIntegerField()
    return subscriptions.annotate(
        is_renewed_by_gateway=Exists(renewed),
        wallet_left_minor=Coalesce(Subquery(wallet.values("balance_minor")), 0, output_field=whole)
        - Coalesce(Subquery(before), 0, output_field=whole),
    )


def charging_of(subscriptions: Sequence[Subscription]) -> dict[UUID, Charging]:
    """What is charged for the next period of each row of `with_charging`, by its id, as things are now."""
    by_us = [row for row in subscriptions if row.billing_mode == BillingMode.SELF]
    methods = usable_methods({row.organization_id for row in by_us}, {row.currency for row in by_us})
    charging = {}
    for row in subscriptions:
        method = methods.get((row.organization_id, row.currency))
        if row.is_renewed_by_gateway:  # type: ignore[attr-defined]
            charging[row.pk] = Charging(Charger.GATEWAY)
        elif row.billing_mode != BillingMode.SELF or row.cancels_at_period_end or not row.is_auto_renewed:
            charging[row.pk] = Charging(Charger.NOTHING)
        else:
            charging[row.pk] = charging_of_renewed(row, method)
    return charging


def charging_of_renewed(row: Subscription, method: PaymentMethod | None) -> Charging:
    """What is charged, or would be, where we renew the subscription automatically."""
    if row.wallet_left_minor >= row.amount_minor:  # type: ignore[attr-defined]
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
