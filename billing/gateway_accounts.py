"""Our accounts at gateways: which one takes a payment, and which subscriptions it can renew."""

from collections.abc import Sequence
from uuid import UUID

from billing.gateways.abilities import GatewayBilling
from billing.gateways.base import driver_of
from billing.models import BillingMode, GatewayAccount, GatewayPrice
from catalog.models import AddonPrice, PlanPrice
from core import site_settings, tenancy


class NoGateway(Exception):
    """No active gateway account takes the currency."""


def account_for(*, currency: str) -> GatewayAccount:
    """The first active account that takes the currency. Raises NoGateway."""
    with tenancy.as_worker():
        for account in GatewayAccount.objects.filter(is_active=True):
            if not account.currencies or currency in account.currencies:
                return account
    raise NoGateway(f"no active gateway account takes {currency}")


def billing_mode_for(prices: Sequence[PlanPrice | AddonPrice]) -> BillingMode:
    """GATEWAY where the setting allows it and the gateway has each of these prices of one currency; else SELF."""
    if not site_settings.get("billing.gateway_renews"):
        return BillingMode.SELF
    gateway = account_for(currency=prices[0].currency).code
    with tenancy.as_worker():
        if not isinstance(driver_of(gateway), GatewayBilling):
            return BillingMode.SELF
    known = prices_at(gateway, prices)
    return BillingMode.GATEWAY if all(price.pk in known for price in prices) else BillingMode.SELF


def prices_at(gateway: str, prices: Sequence[PlanPrice | AddonPrice]) -> dict[UUID | None, str]:
    """The gateway's price references by the id of our price; prices that it does not have are left out."""
    ids = [price.pk for price in prices]
    with tenancy.as_worker():
        rows = GatewayPrice.objects.filter(gateway=gateway)
        found = [*rows.filter(plan_price__in=ids), *rows.filter(addon_price__in=ids)]
    return {row.plan_price_id or row.addon_price_id: row.reference for row in found}
