"""Off-session charges on Stripe: one PaymentIntent for each attempt, with our payment's id in its metadata."""

from collections.abc import Callable
from typing import Any

import stripe

from billing.gateways.saved import ChargeRequest, ChargeStatus, GatewayCharge
from billing.gateways.stripe.fields import metadata_id, to_stripe_amount, value
from billing.gateways.stripe.payments import INTENT_EXPANDED, Payments, payment_of_intent
from core.outside import Rejected

STATUSES = {
    "succeeded": ChargeStatus.SUCCEEDED,
    "processing": ChargeStatus.PROCESSING,
    "canceled": ChargeStatus.CANCELED,
    "requires_payment_method": ChargeStatus.DECLINED,
}
# Off session Stripe refuses what needs the buyer with a 402; the intent then waits to be confirmed with a method.
NEEDS_OWNER = frozenset({"authentication_required", "payment_intent_authentication_failure"})
# A card that is refused so is refused every time (contract §6; Stripe's `advice_code` says the same of others).
REFUSED_FOR_GOOD = frozenset(
    {
        *("expired_card", "lost_card", "stolen_card", "pickup_card", "incorrect_number", "invalid_number"),
        *("invalid_account", "card_not_supported", "currency_not_supported", "restricted_card"),
        *("revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order"),
    }
)


class Charges(Payments):
    """Saved methods, charged while their owner is absent."""

    def charge(self, request: ChargeRequest) -> GatewayCharge:
        """Create and confirm the PaymentIntent, or under the same key learn what became of it."""
        params: Any = {
            "amount": to_stripe_amount(request.amount),
            "currency": request.amount.currency.lower(),
            "customer": request.customer,
            "payment_method": request.method,
            "off_session": True,
            "confirm": True,
            "description": request.description,
            "metadata": {"payment": str(request.payment_id), "organization": str(request.organization_id)},
            "expand": INTENT_EXPANDED,
        }
        options: Any = {"idempotency_key": request.idempotency_key}
        intent = self._confirmed("Stripe charge", lambda api: api.v1.payment_intents.create(params, options))
        return charge_of(intent)

    def find_charge(self, request: ChargeRequest) -> GatewayCharge | None:
        """The customer's PaymentIntent with our payment's id; searching by metadata would be a minute late."""
        listed = self.read_all(
            "Stripe charges", lambda api, params: api.v1.payment_intents.list(params), customer=request.customer
        )
        found = (intent.id for intent in listed if metadata_id(intent.metadata, "payment") == request.payment_id)
        reference = next(found, None)
        return None if reference is None else self.read_charge(reference)

    def read_charge(self, reference: str) -> GatewayCharge:
        """The PaymentIntent in its current state."""
        return charge_of(self.retrieve_intent(reference))

    def confirm_charge(self, reference: str, *, method: str, return_url: str) -> GatewayCharge:
        """Confirm the PaymentIntent on session. Stripe refuses one that is paid, under way or canceled meanwhile."""
        params: Any = {"payment_method": method, "return_url": return_url, "expand": INTENT_EXPANDED}
        try:
            intent = self._confirmed(
                "Stripe confirmation", lambda api: api.v1.payment_intents.confirm(reference, params)
            )
        except Rejected as error:
            if error.status != 400:
                raise
            return self.read_charge(reference)
        return charge_of(intent)

    def cancel_charge(self, reference: str) -> GatewayCharge:
        """Cancel the PaymentIntent. Stripe refuses one that is paid, under way or canceled meanwhile."""
        try:
            self.write("Stripe charge cancellation", lambda api: api.v1.payment_intents.cancel(reference))
        except Rejected as error:
            if error.status != 400:
                raise
        return self.read_charge(reference)

    def _confirmed(self, call: str, confirm: Callable[[stripe.StripeClient], Any]) -> Any:
        """The PaymentIntent after a try. A refusal may be a stored answer, so the intent is read again."""
        refused: list[str] = []

        def confirm_or_note(api: stripe.StripeClient) -> Any:
            try:
                return confirm(api)
            except stripe.CardError as error:
                intent = value(error.error, "payment_intent")
                if intent is None:
                    raise
                refused.append(intent.id)
                return intent

        intent = self.write(call, confirm_or_note)
        return self.retrieve_intent(refused[0]) if refused else intent


def charge_of(intent: Any) -> GatewayCharge:
    """Ours for a PaymentIntent; a succeeded one has its charge and payment method expanded."""
    error = intent.last_payment_error
    code = str(value(error, "decline_code") or value(error, "code") or "")[:64]
    status = STATUSES.get(str(intent.status), ChargeStatus.REQUIRES_ACTION)
    if status is ChargeStatus.DECLINED and value(error, "code") in NEEDS_OWNER:
        status = ChargeStatus.REQUIRES_ACTION
    return GatewayCharge(
        reference=intent.id,
        status=status,
        payment=payment_of_intent(intent) if status is ChargeStatus.SUCCEEDED else None,
        failure_code=code,
        failure=str(value(error, "message") or "")[:191],
        is_method_refused=code in REFUSED_FOR_GOOD or value(error, "advice_code") == "do_not_try_again",
        action_url=str(value(intent, "next_action", "redirect_to_url", "url") or ""),
    )
