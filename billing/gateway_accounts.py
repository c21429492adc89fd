"""Our accounts at gateways: which ones take a payment, and which subscriptions it can renew."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import OuterRef, QuerySet
from django.utils.translation import gettext as _

from billing import tax
from billing.gateways.abilities import Currencies, GatewayBilling
from billing.gateways.base import driver_for, kinds
from billing.models import (
    BillingMode,
    GatewayAccount,
    GatewayCustomer,
    GatewayPrice,
    GatewaySubscription,
    Invoice,
    InvoiceItem,
    Payment,
    PaymentMethod,
    Subscription,
    UnexplainedItem,
)
from catalog.models import AddonPrice, PlanPrice
from core import site_settings, tenancy
from core.encryption import UndecryptableError


class NoGateway(Exception):
    """No active gateway account takes the currency."""


def accounts_for(*, currency: str, is_auto_renewed: bool = False) -> list[GatewayAccount]:
    """The active accounts that take the currency, in their order; for automatic renewal those that can charge again.

    Their keys are decrypted, and `is_live` is their mode from now on: before any lock.
    """
    accounts = []
    with tenancy.as_worker_without_row():
        for account in GatewayAccount.objects.filter(is_active=True):
            if not account.takes(currency) or problem_of(account):
                continue
            driver = driver_for(account)
            if driver.is_live() is not account.is_live:
                account.is_live = mode_of(account.code)
            if isinstance(driver, Currencies) and currency not in driver.CURRENCIES:
                continue
            if not is_auto_renewed or driver.SAVES_METHODS or isinstance(driver, GatewayBilling):
                accounts.append(account)
    return accounts


def problem_of(account: GatewayAccount) -> str:
    """Why the account can take no payment, for staff; empty when it can."""
    if account.kind not in kinds():
        return _("No gateway of the kind %(kind)s is installed.") % {"kind": account.kind}
    try:
        driver = driver_for(account)
    except UndecryptableError:
        return _("Its keys can no longer be decrypted. Enter them again.")
    if not driver.is_configured():
        return _("Its keys are missing.")
    if driver.is_live() is not account.is_live and is_used(account):
        if account.is_live:
            return _("It took real money so far, and its keys are test keys now.")
        return _("It took test payments so far, and its keys are live now. Add another account for the live keys.")
    return ""


def is_used(account: GatewayAccount) -> bool:
    """Whether anything was made at it."""
    made_at = (Payment, GatewayCustomer, GatewaySubscription, PaymentMethod, UnexplainedItem)
    return any(model._default_manager.filter(gateway=account.code).exists() for model in made_at)


def mode_of(gateway: str) -> bool:
    """Whether the account takes real money. Before it took any, its keys decide, and the account's row follows them.

    Its keys are decrypted only then, so that no later payment waits for that with rows locked.
    """
    account = GatewayAccount.objects.get(code=gateway)
    if is_used(account):
        return account.is_live
    is_live = driver_for(account).is_live()
    if is_live is not account.is_live:
        GatewayAccount.objects.filter(pk=account.pk).update(is_live=is_live)
    return is_live


def accounts_of(invoice: Invoice) -> list[GatewayAccount]:
    """The accounts by which the invoice can be paid; where a gateway is to renew, the one that is to."""
    with tenancy.as_worker(invoice):
        is_renewed_there = gateway_billed(invoice.pk).exists()
        is_charged_again = is_renewed_there or is_auto_renewed(invoice)
    accounts = accounts_for(currency=invoice.currency, is_auto_renewed=is_charged_again)
    return accounts[:1] if is_renewed_there else accounts


def gateway_billed(invoice_id: UUID | OuterRef | None) -> "QuerySet[Subscription]":
    """The subscriptions which the invoice is for and which the gateway renews; of an outer query's invoice too."""
    rows = Subscription.objects.filter(billing_mode=BillingMode.GATEWAY)
    return rows.filter(pk__in=InvoiceItem.objects.filter(invoice=invoice_id).values("subscription"))


def is_auto_renewed(invoice: Invoice) -> bool:
    """Whether the customer chose that what the invoice is for renews automatically."""
    return Subscription.objects.filter(invoice_items__invoice=invoice, is_auto_renewed=True).exists()


def billing_mode_for(prices: Sequence[PlanPrice | AddonPrice]) -> BillingMode:
    """GATEWAY where the setting allows it and the gateway has each of these prices of one currency; else SELF.

    A gateway charges its own prices, so it renews nothing where tax is added to them.
    """
    if not site_settings.get("billing.gateway_renews") or tax.shop().adds_tax:
        return BillingMode.SELF
    accounts = accounts_for(currency=prices[0].currency, is_auto_renewed=True)
    if not accounts or not isinstance(driver_for(accounts[0]), GatewayBilling):
        return BillingMode.SELF
    known = prices_at(accounts[0].code, prices)
    return BillingMode.GATEWAY if all(price.pk in known for price in prices) else BillingMode.SELF


def prices_at(gateway: str, prices: Sequence[PlanPrice | AddonPrice]) -> dict[UUID | None, str]:
    """The gateway's price references by the id of our price; prices that it does not have are left out."""
    ids = [price.pk for price in prices]
    with tenancy.as_worker_without_row():
        rows = GatewayPrice.objects.filter(gateway=gateway)
        found = [*rows.filter(plan_price__in=ids), *rows.filter(addon_price__in=ids)]
    return {row.plan_price_id or row.addon_price_id: row.reference for row in found}
