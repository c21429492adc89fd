"""Subscriptions that Stripe itself renews."""

import copy
from dataclasses import dataclass, field

from sandbox.state import JsonObject
from sandbox.stripe import errors, invoices
from sandbox.stripe.account import Account, as_list, changed_fields, merge_metadata, new_id
from sandbox.stripe.customers import choose_default
from sandbox.stripe.endpoints import Call, Endpoint, listing, page_of, read, reader, remove, write
from sandbox.stripe.events import emit
from sandbox.stripe.periods import period_end
from sandbox.stripe.schema import Choice, Clearable, Flag, Instants, Integer, Metadata, Spec, Text

ENDED = {"canceled", "incomplete_expired"}


@dataclass(frozen=True)
class Order:
    """What a new subscription is for; `lines` are price and quantity, `once` is billed on the first invoice only."""

    customer: str
    method: str | None
    lines: list[tuple[JsonObject, int]]
    once: list[tuple[JsonObject, int]] = field(default_factory=list)
    off: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    trial_end: int | None = None


def make(account: Account, order: Order, status: str) -> tuple[JsonObject, JsonObject]:
    """A subscription starting now and its first, still open invoice."""
    subscription = account.add(_subscription(account, order, status))
    end = order.trial_end or _first_end(account, order)
    items = [_item(account, subscription, price, quantity, end) for price, quantity in order.lines]
    subscription["items"] = as_list(f"/v1/subscription_items?subscription={subscription['id']}", items)
    emit(account, "customer.subscription.created", subscription)
    lines = [_first_line(account, subscription, item) for item in items]
    lines += [_once_line(account, subscription, price, quantity) for price, quantity in order.once]
    invoice = invoices.make(account, subscription, "subscription_create", lines, order.off)
    subscription["latest_invoice"] = invoice["id"]
    return subscription, invoice


def _first_end(account: Account, order: Order) -> int:
    recurring = order.lines[0][0]["recurring"]
    return period_end(account.now(), account.now(), recurring["interval"], recurring["interval_count"])


FIXED: JsonObject = {
    "application": None,
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor_config": None,
    "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
    "billing_schedules": [],
    "billing_thresholds": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "reason": None},
    "collection_method": "charge_automatically",
    "customer_account": None,
    "days_until_due": None,
    "default_source": None,
    "default_tax_rates": [],
    "discounts": [],
    "ended_at": None,
    "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
    "latest_invoice": None,
    "livemode": False,
    "managed_payments": None,
    "next_pending_invoice_item_invoice": None,
    "on_behalf_of": None,
    "pause_collection": None,
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "pending_invoice_item_interval": None,
    "pending_setup_intent": None,
    "pending_update": None,
    "schedule": None,
    "test_clock": None,
    "transfer_data": None,
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
}
"""What every new subscription starts with."""


def _subscription(account: Account, order: Order, status: str) -> JsonObject:
    now = account.now()
    return {
        **copy.deepcopy(FIXED),
        "id": new_id("sub_"),
        "object": "subscription",
        "billing_cycle_anchor": order.trial_end or now,
        "created": now,
        "currency": order.lines[0][0]["currency"],
        "customer": order.customer,
        "default_payment_method": order.method,
        "description": order.description,
        "items": as_list("/v1/subscription_items", []),
        "metadata": order.metadata,
        "start_date": now,
        "status": status,
        "trial_end": order.trial_end,
        "trial_start": now if order.trial_end else None,
    }


def _item(account: Account, subscription: JsonObject, price: JsonObject, quantity: int, end: int) -> JsonObject:
    return {
        "id": new_id("si_"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": account.now(),
        "current_period_end": end,
        "current_period_start": account.now(),
        "discounts": [],
        "metadata": {},
        "plan": _plan(price),
        "price": copy.deepcopy(price),
        "quantity": quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
    }


def _plan(price: JsonObject) -> JsonObject:
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def cycle_line(account: Account, subscription: JsonObject, item: JsonObject) -> JsonObject:
    """The invoice line for an item's current period."""
    period = (item["current_period_start"], item["current_period_end"])
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    parent = {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }
    return invoices.line(account, item["price"], item["quantity"], period, parent)


def _first_line(account: Account, subscription: JsonObject, item: JsonObject) -> JsonObject:
    line = cycle_line(account, subscription, item)
    if subscription["trial_end"]:
        line.update(amount=0, subtotal=0, description=f"Trial period for {line['description']}")
    return line


def _once_line(account: Account, subscription: JsonObject, price: JsonObject, quantity: int) -> JsonObject:
    details = {
        "invoice_item": new_id("ii_"),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
    }
    parent = {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
    return invoices.line(account, price, quantity, (account.now(), account.now()), parent)


def change(account: Account, subscription: JsonObject, **fields: object) -> None:
    """Set fields and announce the difference; nothing is announced when nothing changes."""
    before = copy.deepcopy(subscription)
    subscription.update(fields)
    previous = changed_fields(before, subscription)
    if previous:
        emit(account, "customer.subscription.updated", subscription, previous)


def end(account: Account, subscription: JsonObject, reason: str) -> None:
    """Cancel for good, announced by `customer.subscription.deleted`."""
    subscription.update(status="canceled", ended_at=account.now())
    subscription["canceled_at"] = subscription["canceled_at"] or account.now()
    subscription["cancellation_details"]["reason"] = reason
    emit(account, "customer.subscription.deleted", subscription)


def update(call: Call) -> JsonObject:
    """Change when it ends, what it charges, or its metadata."""
    subscription = call.account.find("subscription", call.path["id"])
    _require_alive(subscription)
    before = copy.deepcopy(subscription)
    given = call.params
    if "cancel_at_period_end" in given:
        schedule_end(call.account, subscription, is_ending=given["cancel_at_period_end"])
    if given.get("default_payment_method"):
        owner = copy.deepcopy(call.account.find("customer", subscription["customer"]))
        choose_default(call.account, owner, given["default_payment_method"])
    for name in ("default_payment_method", "description", "cancel_at"):
        if name in given:
            subscription[name] = given[name]
    merge_metadata(subscription, given.get("metadata"))
    emit(call.account, "customer.subscription.updated", subscription, changed_fields(before, subscription))
    return subscription


def schedule_end(account: Account, subscription: JsonObject, *, is_ending: bool) -> None:
    """End with the current period, or take that back; nothing is announced."""
    subscription.update(
        cancel_at_period_end=is_ending,
        canceled_at=account.now() if is_ending else None,
        cancel_at=current_period_end(subscription) if is_ending else None,
    )
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if is_ending else None


def current_period_end(subscription: JsonObject) -> int:
    """When the earliest item's paid time ends, in unix seconds."""
    return min(int(item["current_period_end"]) for item in subscription["items"]["data"])


def cancel(call: Call) -> JsonObject:
    """End at once."""
    subscription = call.account.find("subscription", call.path["id"])
    _require_alive(subscription)
    end(call.account, subscription, "cancellation_requested")
    return subscription


def _require_alive(subscription: JsonObject) -> None:
    if subscription["status"] in ENDED:
        message = f"No such subscription: '{subscription['id']}'; a canceled subscription can only update its metadata."
        raise errors.wrong_state(message, code="resource_missing")


def list_subscriptions(call: Call) -> JsonObject:
    """Subscriptions, newest first; canceled ones only when asked for."""
    customer, status = call.params.get("customer"), call.params.get("status")
    return page_of(
        call,
        (
            each
            for each in call.account.all("subscription")
            if customer in {None, each["customer"]} and _shows(each["status"], status)
        ),
    )


def _shows(status: str, wanted: str | None) -> bool:
    if wanted == "all":
        return True
    return status == wanted if wanted else status != "canceled"


STATUS = Choice(
    "active", "all", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"
)
UPDATABLE: dict[str, Spec] = {
    "cancel_at_period_end": Flag(),
    "cancel_at": Clearable(Integer(0)),
    "default_payment_method": Clearable(Text()),
    "description": Clearable(Text(500)),
    "metadata": Metadata(),
}
ENDPOINTS: list[Endpoint] = [
    read("/v1/subscriptions/{id}", reader("subscription")),
    listing("/v1/subscriptions", list_subscriptions, customer=Text(), status=STATUS, created=Instants()),
    write("/v1/subscriptions/{id}", update, UPDATABLE),
    remove("/v1/subscriptions/{id}", cancel),
]
