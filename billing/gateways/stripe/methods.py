"""Saved methods on Stripe, the page on which one is saved, and the billing portal."""

from typing import Any

from billing.gateways.saved import GatewayMethod, SetupRequest
from billing.gateways.stripe.client import StripeClient
from billing.gateways.stripe.fields import id_of
from billing.gateways.stripe.payments import saved_card
from core.outside import Rejected


class Methods(StripeClient):
    """What Stripe saved for customers."""

    def create_setup_page(self, request: SetupRequest) -> str:
        """A Checkout Session that makes a SetupIntent. It charges nothing, so a second one does no harm."""
        metadata = {"organization": str(request.organization_id)}
        params: Any = {
            "mode": "setup",
            "customer": request.customer,
            "currency": request.currency.lower(),
            "metadata": metadata,
            "setup_intent_data": {"metadata": metadata},
            "success_url": request.success_url,
            "cancel_url": request.cancel_url,
        }
        session = self.write("Stripe set-up session", lambda api: api.v1.checkout.sessions.create(params))
        return str(session.url)

    def read_method(self, reference: str) -> GatewayMethod:
        """The PaymentMethod; one that was detached has no customer."""
        method: Any = self.read("Stripe payment method", lambda api: api.v1.payment_methods.retrieve(reference))
        return GatewayMethod(id_of(method.customer), saved_card(method))

    def detach_method(self, reference: str) -> None:
        """Detach the PaymentMethod. Stripe refuses where it is detached or unknown already."""
        try:
            self.write("Stripe payment method removal", lambda api: api.v1.payment_methods.detach(reference))
        except Rejected as error:
            if error.status not in {400, 404}:
                raise
            if error.status == 400 and self.read_method(reference).customer:
                raise

    def create_portal_page(self, *, customer: str, return_url: str) -> str:
        """A billing portal session; each click makes one of its own."""
        params: Any = {"customer": customer, "return_url": return_url}
        return str(self.write("Stripe portal", lambda api: api.v1.billing_portal.sessions.create(params)).url)
