"""Our accounts at gateways: which ones take a payment, and which subscriptions it can renew."""

from collections.abc import Sequence
from uuid import UUID

from billing.gateways.abilities import GatewayBilling
from billing.gateways.base import driver_for, kinds
from billing.models import BillingMode, GatewayAccount, GatewayPrice, Invoice, Subscription
from catalog.models import AddonPrice, PlanPrice
from core import site_settings, tenancy


class NoGateway(Exception):
    """No active gateway account takes the currency."""


def accounts_for(*, currency: str, is_auto_renewed: bool = False) -> list[GatewayAccount]:
    """The active accounts that take the currency, in their order; for automatic renewal those that can charge again."""
    accounts = []
    with tenancy.as_worker():
        for account in GatewayAccount.objects.filter(is_active=True, kind__in=kinds()):
            driver, takes_it = driver_for(account), not account.currencies or currency in account.currencies
            can_charge_again = driver.SAVES_METHODS or isinstance(driver, GatewayBilling)
            if takes_it and (can_charge_again or not is_auto_renewed):
                accounts.append(account)
    return accounts


def accounts_of(invoice: Invoice) -> list[GatewayAccount]:
    """The accounts by which the invoice can be paid; where a gateway is to renew, the one that is to."""
    with tenancy.as_worker():
        sold = Subscription.objects.filter(invoice_items__invoice=invoice)
        is_gateway_billed = sold.filter(billing_mode=BillingMode.GATEWAY).exists()
        is_auto_renewed = is_gateway_billed or sold.filter(is_auto_renewed=True).exists()
    accounts = accounts_for(currency=invoice.currency, is_auto_renewed=is_auto_renewed)
    return accounts[:1] if is_gateway_billed else accounts


def account_of(invoice: Invoice) -> GatewayAccount:
    """The first account by which the invoice can be paid. Raises NoGateway."""
    accounts = accounts_of(invoice)
    if not accounts:
        raise NoGateway(f"no active gateway account takes {invoice.currency}")
    return accounts[0]


def billing_mode_for(prices: Sequence[PlanPrice | AddonPrice]) -> BillingMode:
    """GATEWAY where the setting allows it and the gateway has each of these prices of one currency; else SELF."""
    if not site_settings.get("billing.gateway_renews"):
        return BillingMode.SELF
    accounts = accounts_for(currency=prices[0].currency, is_auto_renewed=True)
    if not accounts or not isinstance(driver_for(accounts[0]), GatewayBilling):
        return BillingMode.SELF
    known = prices_at(accounts[0].code, prices)
    return BillingMode.GATEWAY if all(price.pk in known for price in prices) else BillingMode.SELF


def prices_at(gateway: str, prices: Sequence[PlanPrice | AddonPrice]) -> dict[UUID | None, str]:
    """The gateway's price references by the id of our price; prices that it does not have are left out."""
    ids = [price.pk for price in prices]
    with tenancy.as_worker():
        rows = GatewayPrice.objects.filter(gateway=gateway)
        found = [*rows.filter(plan_price__in=ids), *rows.filter(addon_price__in=ids)]
    return {row.plan_price_id or row.addon_price_id: row.reference for row in found}
