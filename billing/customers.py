"""Organizations as customers of a gateway."""

from accounts.models import Organization
from billing.gateways.abilities import Customers
from billing.gateways.base import USED_KEYS, CustomerRequest, Driver
from billing.models import GatewayCustomer
from core import tenancy
from core.outside import OutsideError


def ensure_customer(driver: Driver, *, organization: Organization, gateway: str) -> str:
    """The gateway's reference of the organization; calls the gateway when there is none yet.

    Empty where the gateway has no customers.
    """
    if not isinstance(driver, Customers):
        return ""
    with tenancy.as_worker(organization):
        customer, _is_new = GatewayCustomer.objects.get_or_create(
            organization=organization, gateway=gateway, defaults={"is_live": driver.is_live()}
        )
    if customer.reference:
        return customer.reference
    name = organization.billing_name or organization.name
    request = CustomerRequest(customer.pk, organization.pk, name, organization.billing_email)
    try:
        reference = driver.ensure_customer(request)
    except OutsideError as error:
        if error.code in USED_KEYS:  # a new row is a new key; a customer created under the old one has no money
            with tenancy.as_worker(organization):
                GatewayCustomer.objects.filter(pk=customer.pk, reference__isnull=True).delete()
        raise
    with tenancy.as_worker(organization):
        GatewayCustomer.objects.filter(pk=customer.pk, reference__isnull=True).update(reference=reference)
    return customer.reload().reference or reference


def forget_customer(*, organization: Organization, gateway: str) -> None:
    """The gateway does not know the customer: the next use creates a new one, under a new key."""
    with tenancy.as_worker(organization):
        GatewayCustomer.objects.filter(organization=organization, gateway=gateway).delete()
