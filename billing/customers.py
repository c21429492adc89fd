"""Organizations as customers of a gateway."""

from accounts.models import Organization
from billing.gateways import driver_of
from billing.gateways.base import USED_KEYS, CustomerRequest
from billing.models import GatewayCustomer
from core import tenancy
from core.outside import OutsideError


def reference_of(*, organization: Organization, gateway: str) -> str:
    """The gateway's reference of the organization; calls the gateway when there is none yet."""
    with tenancy.as_worker():
        customer, _is_new = GatewayCustomer.objects.get_or_create(organization=organization, gateway=gateway)
    if customer.reference:
        return customer.reference
    name = organization.billing_name or organization.name
    request = CustomerRequest(customer.pk, organization.pk, name, organization.billing_email)
    try:
        reference = driver_of(gateway).ensure_customer(request)
    except OutsideError as error:
        if error.code in USED_KEYS:  # another row is another key; a customer this one may have made has no money
            GatewayCustomer.objects.filter(pk=customer.pk, reference__isnull=True).delete()
        raise
    with tenancy.as_worker():
        GatewayCustomer.objects.filter(pk=customer.pk, reference__isnull=True).update(reference=reference)
    return customer.reload().reference or reference


def forget(*, organization: Organization, gateway: str) -> None:
    """The gateway knows the customer no more: the next use makes a new one, under a new key."""
    with tenancy.as_worker():
        GatewayCustomer.objects.filter(organization=organization, gateway=gateway).delete()
