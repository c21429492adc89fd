"""Subscriptions that Stripe itself renews."""

import copy
from dataclasses import dataclass

from sandbox.state import JsonObject
from sandbox.stripe import errors, invoices
from sandbox.stripe.account import Account, as_list, merge_metadata, new_id, null_fields
from sandbox.stripe.customers import require_owned
from sandbox.stripe.endpoints import Call, page_of
from sandbox.stripe.events import emit, updating
from sandbox.stripe.periods import period_end
from sandbox.stripe.schema import Clearable, Flag, Instants, Integer, Metadata, Spec, Text

ENDED = {"canceled", "incomplete_expired"}
UPDATE_FIELDS: dict[str, Spec] = {
    "cancel_at_period_end": Flag(),
    "cancel_at": Clearable(Integer(0)),
    "default_payment_method": Clearable(Text()),
    "metadata": Metadata(),
}
FILTERS: dict[str, Spec] = {"customer": Text(), "created": Instants()}
NULL = (
    "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at "
    "customer_account days_until_due default_source ended_at latest_invoice managed_payments "
    "next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval "
    "pending_setup_intent pending_update schedule test_clock transfer_data"
)


@dataclass(frozen=True)
class Order:
    """What a new subscription is for; `lines` are price and quantity; one-time prices bill once."""

    customer: str
    method: str
    lines: list[tuple[JsonObject, int]]
    metadata: dict[str, str]
    description: str | None
    trial_end: int | None
    is_paid: bool


def make(account: Account, order: Order) -> tuple[JsonObject, JsonObject]:
    """A subscription starting now and its first, still open invoice."""
    subscription = account.add(_new_subscription(account, order))
    recurring = [(price, quantity) for price, quantity in order.lines if price["recurring"]]
    rhythm = recurring[0][0]["recurring"]
    end = order.trial_end or period_end(account.now(), account.now(), rhythm["interval"], rhythm["interval_count"])
    items = [_new_item(account, subscription, price, quantity, end) for price, quantity in recurring]
    subscription["items"] = as_list(f"/v1/subscription_items?subscription={subscription['id']}", items)
    emit(account, "customer.subscription.created", subscription)
    lines = [cycle_line(account, subscription, item) for item in items]
    if order.trial_end:
        for line in lines:
            line.update(amount=0, subtotal=0, description=f"Trial period for {line['description']}")
    details = {
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
    }
    for price, quantity in order.lines:
        if not price["recurring"]:
            parent = {
                "invoice_item_details": {**details, "invoice_item": new_id("ii_")},
                "subscription_item_details": None,
                "type": "invoice_item_details",
            }
            lines.append(invoices.line(account, price, quantity, (account.now(), account.now()), parent))
    invoice = invoices.make(account, subscription, "subscription_create", lines)
    subscription["latest_invoice"] = invoice["id"]
    return subscription, invoice


def _new_subscription(account: Account, order: Order) -> JsonObject:
    now = account.now()
    return {
        **null_fields(NULL),
        "id": new_id("sub_"),
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": order.trial_end or now,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": null_fields("comment feedback reason"),
        "collection_method": "charge_automatically",
        "created": now,
        "currency": order.lines[0][0]["currency"],
        "customer": order.customer,
        "default_payment_method": order.method,
        "default_tax_rates": [],
        "description": order.description,
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "livemode": False,
        "metadata": order.metadata,
        "payment_settings": {
            **null_fields("payment_method_options payment_method_types"),
            "save_default_payment_method": "off",
        },
        "start_date": now,
        "status": "trialing" if order.trial_end else "active" if order.is_paid else "incomplete",
        "trial_end": order.trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": now if order.trial_end else None,
    }


def _new_item(account: Account, subscription: JsonObject, price: JsonObject, quantity: int, end: int) -> JsonObject:
    plan = {
        **{name: price[name] for name in ("id", "active", "created", "currency", "metadata", "nickname", "product")},
        **null_fields("meter tiers_mode transform_usage trial_period_days"),
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "livemode": False,
        "usage_type": "licensed",
    }
    return {
        "id": new_id("si_"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": account.now(),
        "current_period_end": end,
        "current_period_start": account.now(),
        "discounts": [],
        "metadata": {},
        "plan": plan,
        "price": copy.deepcopy(price),
        "quantity": quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
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


def change(account: Account, subscription: JsonObject, **fields: object) -> None:
    """Set fields and announce the difference; nothing is announced when nothing changes."""
    with updating(account, "customer.subscription.updated", subscription):
        subscription.update(fields)


def end(account: Account, subscription: JsonObject, reason: str) -> None:
    """Cancel for good, announced by `customer.subscription.deleted`."""
    subscription.update(status="canceled", ended_at=account.now())
    subscription["canceled_at"] = subscription["canceled_at"] or account.now()
    subscription["cancellation_details"]["reason"] = reason
    emit(account, "customer.subscription.deleted", subscription)


def update(call: Call) -> JsonObject:
    """Change when it ends, what it charges, or its metadata."""
    subscription, given = _running(call), call.params
    if given.get("default_payment_method"):
        method = given["default_payment_method"]
        require_owned(call.account, subscription["customer"], method, "default_payment_method")
    with updating(call.account, "customer.subscription.updated", subscription):
        if "cancel_at_period_end" in given:
            schedule_end(call.account, subscription, is_ending=given["cancel_at_period_end"])
        for name in ("default_payment_method", "cancel_at"):
            if name in given:
                subscription[name] = given[name]
        merge_metadata(subscription, given.get("metadata", {}))
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


def list_call(call: Call) -> JsonObject:
    """Subscriptions that were not canceled, newest first."""
    customer = call.params.get("customer")
    found = (each for each in call.account.all("subscription") if each["status"] != "canceled")
    return page_of(call, (each for each in found if customer in {None, each["customer"]}))


def cancel(call: Call) -> JsonObject:
    """End at once."""
    subscription = _running(call)
    end(call.account, subscription, "cancellation_requested")
    return subscription


def _running(call: Call) -> JsonObject:
    """The subscription in the path.

    Raises StripeError when it has ended.
    """
    subscription = call.account.find("subscription", call.path["id"])
    if subscription["status"] in ENDED:
        message = f"No such subscription: '{subscription['id']}'; a canceled subscription can only update its metadata."
        raise errors.wrong_state(message, code="resource_missing")
    return subscription
