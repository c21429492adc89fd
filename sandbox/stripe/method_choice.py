"""The radio buttons that stand for typing a card number."""

from html import escape

from sandbox.stripe.cards import METHODS, Behaviour

COMMON = (
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_declineLater",
    "pm_card_authenticationRequired",
    "pm_card_chargeDeclined",
)


def choices(chosen: str, *, with_bank: bool) -> str:
    """A fieldset over the test methods, field name `card`; the rarer ones fold away."""
    cards = [method for method in METHODS.values() if not method.is_bank]
    common = "".join(_choice(method, chosen) for method in cards if method.token in COMMON)
    rare = "".join(_choice(method, chosen) for method in cards if method.token not in COMMON)
    is_rare = chosen in METHODS and chosen not in COMMON and not METHODS[chosen].is_bank
    html = (
        f"<fieldset><legend>Test card</legend>{common}</fieldset>"
        f"<details{' open' if is_rare else ''}><summary>More outcomes</summary><fieldset>{rare}</fieldset></details>"
    )
    if not with_bank:
        return html
    banks = "".join(_choice(method, chosen) for method in METHODS.values() if method.is_bank)
    return f"{html}<fieldset><legend>Bank debit (async)</legend>{banks}</fieldset>"


def _choice(method: Behaviour, chosen: str) -> str:
    checked = " checked" if method.token == chosen else ""
    return (
        f'<label class="choice"><input type="radio" name="card" value="{method.token}"{checked} required>'
        f'<span><b>{escape(method.label)} <span class="num quiet">···· {method.last4}</span></b>'
        f'<span class="quiet small">{escape(method.hint)}</span></span></label>'
    )
