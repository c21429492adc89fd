"""Organizations as Stripe's customers."""

import hashlib

from billing.gateways.base import CustomerRequest
from billing.gateways.stripe import client


def ensure(request: CustomerRequest) -> str:
    """Make the customer and return its id; repeated with the same facts it is the same customer.

    The key includes the facts, so that a name edited between two tries is a new operation and not a conflict; the
    customer an unheard first try left behind is then an orphan without money.
    """
    params = {"name": request.name, "metadata": {"organization": str(request.organization_id)}}
    if request.email:
        params["email"] = request.email
    digest = hashlib.sha256(repr(sorted(params.items(), key=str)).encode()).hexdigest()[:16]
    options = {"idempotency_key": f"customer-{request.row_id}-{digest}"}
    made = client.tell("Stripe customer", lambda stripe: stripe.v1.customers.create(params, options))  # type: ignore[arg-type]
    return str(made.id)
