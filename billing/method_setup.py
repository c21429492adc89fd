"""The gateways' own pages on which customers save a card or manage what the gateway renews. Both are made per click."""

from accounts.models import Organization
from billing import customers, gateway_accounts
from billing.gateways.base import driver_for, driver_of
from billing.gateways.saved import CustomerPortal, SavedCharges, SavedMethods, SetupRequest
from billing.models import GatewayCustomer, GatewaySubscription
from core import tenancy


def setup_page(*, organization: Organization, success_url: str, cancel_url: str) -> str:
    """The address of a page to save a card on; empty where no gateway saves and charges one.

    Raises the errors of `outside`. Nothing is stored: the card comes by an event.
    """
    currency = organization.currency
    accounts = gateway_accounts.accounts_for(currency=currency, is_auto_renewed=True)
    drivers = [(account, driver_for(account)) for account in accounts]
    for account, driver in drivers:
        if isinstance(driver, SavedMethods) and isinstance(driver, SavedCharges):
            customer = customers.ensure_customer(driver, organization=organization, gateway=account.code)
            request = SetupRequest(organization.pk, customer, currency, success_url, cancel_url)
            return driver.create_setup_page(request)
    return ""


def portal_page(*, organization: Organization, return_url: str) -> str:
    """The address of the customer's page at the gateway that renews subscriptions of theirs; empty where none does.

    Raises the errors of `outside`.
    """
    with tenancy.as_worker(organization):
        renewing = GatewaySubscription.objects.filter(organization=organization, ended_at=None)
        gateways = set(renewing.values_list("gateway", flat=True))
        known = GatewayCustomer.objects.filter(organization=organization, gateway__in=gateways)
        found = known.exclude(reference=None).order_by("gateway").first()
        if found is None:
            return ""
        driver: object = driver_of(found.gateway)
    if not isinstance(driver, CustomerPortal):
        return ""
    return driver.create_portal_page(customer=str(found.reference), return_url=return_url)
