"""Why a bank refuses a card, in words for its owner, by the codes that card networks and gateways share."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

AUTHENTICATION_REQUIRED = "authentication_required"
NOT_CONFIRMED = "not_confirmed"
METHOD_REMOVED = "method_removed"
NOT_WANTED = "canceled"  # before anything was taken, because it is paid otherwise or no longer wanted
DECLINES: dict[str, Promise] = {
    AUTHENTICATION_REQUIRED: _("Your bank asks you to confirm the payment."),
    "payment_intent_authentication_failure": _("The payment was not confirmed at your bank."),
    "insufficient_funds": _("There was not enough money on the card."),
    "expired_card": _("The card has expired."),
    "lost_card": _("Your bank does not accept this card any more."),
    "stolen_card": _("Your bank does not accept this card any more."),
    "pickup_card": _("Your bank does not accept this card any more."),
    "card_velocity_exceeded": _("The card's limit was reached."),
    "withdrawal_count_limit_exceeded": _("The card's limit was reached."),
    "do_not_honor": _("Your bank refused the payment without saying why. It can tell you."),
    NOT_CONFIRMED: _("The payment was not confirmed in time."),
    METHOD_REMOVED: _("The card was removed before it was charged."),
}
OTHER = _("Your bank refused the payment.")


def decline_text(code: str) -> str:
    """The words for a code; those of any refusal where it is not known."""
    return str(DECLINES.get(code, OTHER))
