"""The test payment methods and what each does when charged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decline:
    """A refusal as Stripe words it."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = None


@dataclass(frozen=True)
class Behaviour:
    """One test token. Outcomes are separate for the buyer present (`now`) and absent (`later`).

    `authenticates` is `never`, `always` (every off-session charge asks for the buyer) or `unless_set_up`.
    `bounces` is why a bank debit fails in the end, None when it clears. `refund` is how refunds end.
    """

    token: str
    label: str
    hint: str
    brand: str = "visa"
    last4: str = "4242"
    now: Decline | None = None
    later: Decline | None = None
    authenticates: str = "never"
    is_bank: bool = False
    bounces: Decline | None = None
    refund: str = "succeeded"
    has_dispute: bool = False


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.", "try_again_later")
FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later")
LOST = Decline("card_declined", "lost_card", "Your card was declined.", "do_not_try_again")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "do_not_try_again")
BANK_FUNDS = Decline("insufficient_funds", None, "The customer's account has insufficient funds to cover this payment.")

ALL = (
    Behaviour("pm_card_visa", "Visa", "Pays at once"),
    Behaviour("pm_card_mastercard", "Mastercard", "Pays at once", "mastercard", "4444"),
    Behaviour("pm_card_declineLater", "Visa", "Pays now, declined on every renewal", last4="0341", later=FUNDS),
    Behaviour(
        "pm_card_authenticationRequired", "Visa", "Asks the buyer every time", last4="3184", authenticates="always"
    ),
    Behaviour(
        "pm_card_authenticationRequiredOnSetup",
        "Visa",
        "Asks the buyer unless saved before",
        last4="3155",
        authenticates="unless_set_up",
    ),
    Behaviour("pm_card_chargeDeclined", "Visa", "Declined", last4="0002", now=GENERIC, later=GENERIC),
    Behaviour(
        "pm_card_chargeDeclinedInsufficientFunds", "Visa", "Too little money", last4="9995", now=FUNDS, later=FUNDS
    ),
    Behaviour("pm_card_chargeDeclinedLostCard", "Visa", "Reported lost", last4="9987", now=LOST, later=LOST),
    Behaviour("pm_card_chargeDeclinedExpiredCard", "Visa", "Expired", last4="0069", now=EXPIRED, later=EXPIRED),
    Behaviour("pm_card_createDispute", "Visa", "Pays, then disputed as fraud", last4="0259", has_dispute=True),
    Behaviour("pm_card_pendingRefund", "Visa", "Pays; refunds take a while", last4="7726", refund="pending"),
    Behaviour("pm_card_refundFail", "Visa", "Pays; refunds fail later", last4="5126", refund="fails_later"),
    Behaviour("pm_usBankAccount_success", "Bank debit", "Starts now, clears later", "bank", "6789", is_bank=True),
    Behaviour(
        "pm_usBankAccount_insufficientFunds",
        "Bank debit",
        "Starts now, fails later: too little money",
        "bank",
        "1116",
        is_bank=True,
        bounces=BANK_FUNDS,
    ),
)
METHODS: dict[str, Behaviour] = {method.token: method for method in ALL}
