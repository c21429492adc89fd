"""Invoices of subscriptions, in the shape since basil: no `subscription`, `paid` or `charge` at the top."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe.account import BUSINESS_NAME, Account, as_list, new_id, null_fields
from sandbox.stripe.endpoints import Call, page_of
from sandbox.stripe.events import emit
from sandbox.stripe.schema import Choice, Group, Instants, Spec, Text

PAYMENT_FILTERS: dict[str, Spec] = {
    "invoice": Text(),
    "status": Choice("open", "paid", "canceled"),
    "payment": Group({"type": Choice("payment_intent"), "payment_intent": Text()}, ("type",)),
    "created": Instants(),
}
NULL = (
    "account_tax_ids application automatically_finalizes_at custom_fields customer_account default_payment_method "
    "default_source due_date footer from_invoice invoice_pdf last_finalization_error latest_revision "
    "next_payment_attempt on_behalf_of receipt_number rendering shipping_cost shipping_details statement_descriptor "
    "test_clock webhooks_delivered_at"
)
ZERO = (
    "amount_overpaid amount_paid amount_shipping attempt_count ending_balance post_payment_credit_notes_amount "
    "pre_payment_credit_notes_amount starting_balance"
)
EMPTY = "customer_tax_ids default_tax_rates discounts total_discount_amounts total_pretax_credit_amounts total_taxes"
SAME: JsonObject = {
    **null_fields(NULL),
    **dict.fromkeys(ZERO.split(), 0),
    **{name: [] for name in EMPTY.split()},
    "account_country": "US",
    "account_name": BUSINESS_NAME,
    "attempted": False,
    "auto_advance": True,
    "automatic_tax": {"enabled": False, **null_fields("disabled_reason liability provider status")},
    "collection_method": "charge_automatically",
    "issuer": {"type": "self"},
    "livemode": False,
    "metadata": {},
    "payment_settings": null_fields("default_mandate payment_method_options payment_method_types"),
}
"""What every new invoice starts with."""
CUSTOMER_FIELDS = ("address", "email", "name", "phone", "shipping", "tax_exempt")


def subscription_of(invoice: JsonObject) -> str:
    """The id of the subscription the invoice bills."""
    return str(invoice["parent"]["subscription_details"]["subscription"])


def make(account: Account, subscription: JsonObject, reason: str, lines: list[JsonObject]) -> JsonObject:
    """An open, finalized invoice over the lines. The hour that Stripe leaves a renewal as a draft is skipped."""
    customer = account.find("customer", subscription["customer"])
    identity, now, total = new_id("in_"), account.now(), sum(line["amount"] for line in lines)
    for line in lines:
        line["invoice"] = identity
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    invoice = account.add(
        {
            **copy.deepcopy(SAME),
            **dict.fromkeys(("amount_due", "amount_remaining", "subtotal", "total"), total),
            **dict.fromkeys(("subtotal_excluding_tax", "total_excluding_tax"), total),
            **dict.fromkeys(("created", "effective_at", "period_end", "period_start"), now),
            **{f"customer_{name}": customer[name] for name in CUSTOMER_FIELDS},
            "id": identity,
            "object": "invoice",
            "billing_reason": reason,
            "currency": subscription["currency"],
            "customer": customer["id"],
            "description": subscription["description"],
            "hosted_invoice_url": f"{account.base_url}/i/{identity}",
            "lines": as_list(f"/v1/invoices/{identity}/lines", lines),
            "number": f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
            "parent": {
                "quote_details": None,
                "subscription_details": {**details, "subscription_proration_date": None},
                "type": "subscription_details",
            },
            "status": "open",
            "status_transitions": {"finalized_at": now, **null_fields("marked_uncollectible_at paid_at voided_at")},
        }
    )
    customer["next_invoice_sequence"] += 1
    emit(account, "invoice.created", {**invoice, "status": "draft"})
    emit(account, "invoice.finalized", invoice)
    return invoice


def line(account: Account, price: JsonObject, quantity: int, period: tuple[int, int], parent: JsonObject) -> JsonObject:
    """One line: a price times a quantity for a period given as unix seconds."""
    product = account.find("product", price["product"])
    amount = price["unit_amount"] * quantity
    return {
        "id": new_id("il_"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"{quantity} × {product['name']}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": product["id"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }


def record_payment(account: Account, invoice: JsonObject, intent: JsonObject) -> JsonObject:
    """Link the invoice to the PaymentIntent that pays it; a second call returns the same link."""
    for payment in account.all("invoice_payment"):
        if payment["invoice"] == invoice["id"] and payment["payment"]["payment_intent"] == intent["id"]:
            return payment
    account.note(intent["id"])["invoice"] = invoice["id"]
    return account.add(
        {
            "id": new_id("inpay_"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": account.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def mark_paid(account: Account, invoice: JsonObject, intent: JsonObject | None) -> None:
    """Close the invoice as paid, by the intent or, with None, because nothing was due."""
    if intent is not None:
        payment = record_payment(account, invoice, intent)
        payment.update(amount_paid=invoice["amount_due"], status="paid")
        payment["status_transitions"]["paid_at"] = account.now()
        invoice["attempt_count"] += 1
        emit(account, "invoice_payment.paid", payment)
    invoice.update(
        status="paid",
        attempted=True,
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        next_payment_attempt=None,
    )
    invoice["status_transitions"]["paid_at"] = account.now()
    emit(account, "invoice.paid", invoice)
    emit(account, "invoice.payment_succeeded", invoice)


def mark_failed(account: Account, invoice: JsonObject, next_attempt_at: int | None) -> None:
    """Count a refused attempt; None means there will be no other."""
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1, next_payment_attempt=next_attempt_at)
    emit(account, "invoice.payment_failed", invoice)


def list_payments(call: Call) -> JsonObject:
    """Links between invoices and PaymentIntents, by either."""
    wanted = call.params
    intent = wanted.get("payment", {}).get("payment_intent")
    return page_of(
        call,
        (
            payment
            for payment in call.account.all("invoice_payment")
            if wanted.get("invoice") in {None, payment["invoice"]}
            and wanted.get("status") in {None, payment["status"]}
            and intent in {None, payment["payment"]["payment_intent"]}
        ),
    )
