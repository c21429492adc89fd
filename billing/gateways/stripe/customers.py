"""Organizations as Stripe's customers."""

import hashlib
from typing import Any

from billing.gateways.base import CustomerRequest
from billing.gateways.stripe.client import StripeClient


class Customers(StripeClient):
    """Organizations as customers of the account."""

    def ensure_customer(self, request: CustomerRequest) -> str:
        """Create the customer and return its id; repeated with the same facts it is the same customer.

        The key includes the facts, so that a name edited between two tries is a new operation and not a conflict. A
        customer that the first try created although its answer was lost is then unused and has no money.
        """
        params: Any = {"name": request.name, "metadata": {"organization": str(request.organization_id)}}
        if request.email:
            params["email"] = request.email
        digest = hashlib.sha256(repr(sorted(params.items(), key=str)).encode()).hexdigest()[:16]
        options: Any = {"idempotency_key": f"customer-{request.gateway_customer_id}-{digest}"}
        return str(self.write("Stripe customer", lambda stripe: stripe.v1.customers.create(params, options)).id)
