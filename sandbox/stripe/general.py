"""The account itself and its balance."""

from sandbox.state import JsonObject
from sandbox.stripe.endpoints import Call, Endpoint, read

ACCOUNT_ID = "acct_1SandboxShop"


def own_account(call: Call) -> JsonObject:
    """The account behind the key, as connection tests read it."""
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": {"name": call.account.settings["business_name"], "url": None},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@sandbox.invalid",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": call.account.settings["business_name"], "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def balance(call: Call) -> JsonObject:
    """What all booked transactions add up to, per currency."""
    sums: dict[str, int] = {}
    for entry in call.account.all("balance_transaction"):
        sums[entry["currency"]] = sums.get(entry["currency"], 0) + entry["net"]
    pending = [{"amount": amount, "currency": code, "source_types": {"card": amount}} for code, amount in sums.items()]
    return {"object": "balance", "available": [], "livemode": False, "pending": pending}


ENDPOINTS: list[Endpoint] = [read("/v1/account", own_account), read("/v1/balance", balance)]
