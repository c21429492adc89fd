"""Customers."""

import copy
import secrets

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, changed_fields, merge_metadata, new_id
from sandbox.stripe.endpoints import Call, Endpoint, listing, page_of, read, remove, write
from sandbox.stripe.events import emit
from sandbox.stripe.payment_methods import attach, resolve
from sandbox.stripe.schema import Choice, Clearable, Group, Instants, Loose, Many, Metadata, Spec, Text

PLAIN = ("email", "name", "phone", "description", "address", "shipping", "preferred_locales", "tax_exempt")
FIELDS: dict[str, Spec] = {
    "email": Clearable(Text(512)),
    "name": Clearable(Text(256)),
    "phone": Clearable(Text(20)),
    "description": Clearable(Text()),
    "address": Clearable(Loose()),
    "shipping": Clearable(Loose()),
    "preferred_locales": Many(Text()),
    "tax_exempt": Choice("none", "exempt", "reverse"),
    "metadata": Metadata(),
    "payment_method": Text(),
    "invoice_settings": Group({"default_payment_method": Clearable(Text())}),
}


FIXED: JsonObject = {
    "address": None,
    "balance": 0,
    "business_name": None,
    "currency": None,
    "customer_account": None,
    "default_source": None,
    "delinquent": False,
    "description": None,
    "discount": None,
    "email": None,
    "individual_name": None,
    "invoice_settings": {
        "custom_fields": None,
        "default_payment_method": None,
        "footer": None,
        "rendering_options": None,
    },
    "livemode": False,
    "metadata": {},
    "name": None,
    "next_invoice_sequence": 1,
    "phone": None,
    "preferred_locales": [],
    "shipping": None,
    "tax_exempt": "none",
    "test_clock": None,
}
"""What every new customer starts with."""


def make(account: Account, **known: object) -> JsonObject:
    """A new customer with the given fields, announced by `customer.created`."""
    customer: JsonObject = {
        **copy.deepcopy(FIXED),
        "id": new_id("cus_"),
        "object": "customer",
        "created": account.now(),
        "invoice_prefix": secrets.token_hex(4).upper(),
    }
    customer = account.add(customer | known)
    emit(account, "customer.created", customer)
    return customer


def living(account: Account, identity: str, param: str | None = "customer") -> JsonObject:
    """A customer that has not been deleted.

    Raises StripeError `resource_missing`.
    """
    customer = account.find("customer", identity, param)
    if customer.get("deleted"):
        raise errors.missing_resource("customer", identity, param)
    return customer


def create(call: Call) -> JsonObject:
    """A new customer, with a payment method when one is given."""
    given = call.params
    method = resolve(call.account, given["payment_method"]) if "payment_method" in given else None
    if "default_payment_method" in given.get("invoice_settings", {}) and method is None:
        raise errors.invalid(
            "The customer does not have a payment method with that ID.",
            param="invoice_settings[default_payment_method]",
        )
    fields = {name: given[name] for name in PLAIN if name in given}
    customer = make(call.account, **fields, metadata=_without_blanks(given.get("metadata", {})))
    if method is not None:
        attach(call.account, method, customer["id"])
        if "invoice_settings" in given:
            customer["invoice_settings"]["default_payment_method"] = method["id"]
    return customer


def update(call: Call) -> JsonObject:
    """Change the given fields."""
    customer = living(call.account, call.path["id"], None)
    before = copy.deepcopy(customer)
    settings = call.params.get("invoice_settings", {})
    if "default_payment_method" in settings:
        choose_default(call.account, customer, settings["default_payment_method"])
    for name in PLAIN:
        if name in call.params:
            customer[name] = call.params[name]
    merge_metadata(customer, call.params.get("metadata"))
    emit(call.account, "customer.updated", customer, changed_fields(before, customer))
    return customer


def choose_default(account: Account, customer: JsonObject, method: str | None) -> None:
    """Charge this method by default; None clears the choice.

    Raises StripeError when the customer does not own it.
    """
    if method is not None:
        owned = account.get("payment_method", method)
        if owned is None or owned["customer"] != customer["id"]:
            message = f"The customer does not have a payment method with the ID {method}."
            raise errors.invalid(message, param="invoice_settings[default_payment_method]", code="resource_missing")
    customer["invoice_settings"]["default_payment_method"] = method


def retrieve(call: Call) -> JsonObject:
    """The customer; a deleted one answers with its id and `deleted`."""
    customer = call.account.find("customer", call.path["id"])
    return _stub(customer) if customer.get("deleted") else customer


def delete(call: Call) -> JsonObject:
    """Delete the customer and detach its methods."""
    customer = living(call.account, call.path["id"], None)
    for method in call.account.all("payment_method"):
        if method["customer"] == customer["id"]:
            method["customer"] = None
    emit(call.account, "customer.deleted", customer)
    customer["deleted"] = True
    return _stub(customer)


def list_customers(call: Call) -> JsonObject:
    """Customers that still exist, newest first."""
    email = call.params.get("email")
    living_ones = (each for each in call.account.all("customer") if not each.get("deleted"))
    return page_of(call, (each for each in living_ones if email in {None, each["email"]}))


def _stub(customer: JsonObject) -> JsonObject:
    return {"id": customer["id"], "object": "customer", "deleted": True}


def _without_blanks(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if value != ""}


ENDPOINTS: list[Endpoint] = [
    write("/v1/customers", create, FIELDS),
    listing("/v1/customers", list_customers, email=Text(), created=Instants()),
    read("/v1/customers/{id}", retrieve),
    write("/v1/customers/{id}", update, FIELDS),
    remove("/v1/customers/{id}", delete),
]
