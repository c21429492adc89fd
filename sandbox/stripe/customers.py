"""Customers."""

import secrets

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, merge_metadata, new_id, null_fields
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import emit, updating
from sandbox.stripe.schema import Clearable, Group, Metadata, Spec, Text

CREATE_FIELDS: dict[str, Spec] = {
    "email": Clearable(Text(512)),
    "name": Clearable(Text(256)),
    "metadata": Metadata(),
}
UPDATE_FIELDS: dict[str, Spec] = {
    **CREATE_FIELDS,
    "invoice_settings": Group({"default_payment_method": Clearable(Text())}),
}
NULL = (
    "address business_name currency customer_account default_source description discount email individual_name name "
    "phone shipping test_clock"
)


def make(account: Account, given: JsonObject) -> JsonObject:
    """A new customer with the given fields, announced by `customer.created`."""
    customer = account.add(
        {
            **null_fields(NULL),
            "id": new_id("cus_"),
            "object": "customer",
            "balance": 0,
            "created": account.now(),
            "delinquent": False,
            "invoice_prefix": secrets.token_hex(4).upper(),
            "invoice_settings": null_fields("custom_fields default_payment_method footer rendering_options"),
            "livemode": False,
            "metadata": {},
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "tax_exempt": "none",
            **{name: given[name] for name in ("email", "name") if name in given},
        }
    )
    merge_metadata(customer, given.get("metadata", {}))
    emit(account, "customer.created", customer)
    return customer


def create(call: Call) -> JsonObject:
    """A new customer."""
    return make(call.account, call.params)


def update(call: Call) -> JsonObject:
    """Change the given fields."""
    customer = call.account.find("customer", call.path["id"])
    with updating(call.account, "customer.updated", customer):
        settings = call.params.get("invoice_settings", {})
        if "default_payment_method" in settings:
            choose_default(call.account, customer, settings["default_payment_method"])
        customer.update({name: call.params[name] for name in ("email", "name") if name in call.params})
        merge_metadata(customer, call.params.get("metadata", {}))
    return customer


def choose_default(account: Account, customer: JsonObject, method: str | None) -> None:
    """Charge this method by default; None clears the choice.

    Raises StripeError when the customer does not own it.
    """
    if method is not None:
        require_owned(account, customer["id"], method, "invoice_settings[default_payment_method]")
    customer["invoice_settings"]["default_payment_method"] = method


def require_owned(account: Account, customer: str, method: str, param: str) -> None:
    """Refuse a payment method that is not saved on the customer.

    Raises StripeError `resource_missing`.
    """
    owned = account.get("payment_method", method)
    if owned is None or owned["customer"] != customer:
        message = f"The customer does not have a payment method with the ID {method}."
        raise errors.invalid(message, param=param, code="resource_missing")
