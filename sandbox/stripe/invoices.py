"""Invoices of subscriptions, in the shape since basil: no `subscription`, `paid` or `charge` at the top."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, as_list, merge_metadata, new_id
from sandbox.stripe.endpoints import Call, Endpoint, listing, page_of, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.schema import Choice, Group, Instants, Metadata, Text


def subscription_of(invoice: JsonObject) -> str:
    """The id of the subscription the invoice bills."""
    return str(invoice["parent"]["subscription_details"]["subscription"])


def make(account: Account, subscription: JsonObject, reason: str, lines: list[JsonObject], off: int = 0) -> JsonObject:
    """An open, finalized invoice over the lines less the discount `off` in minor units.

    The hour Stripe leaves a renewal as a draft is skipped.
    """
    customer = account.find("customer", subscription["customer"])
    invoice = account.add(_invoice(account, subscription, customer, reason, lines, off))
    for line in lines:
        line["invoice"] = invoice["id"]
    invoice["lines"] = as_list(f"/v1/invoices/{invoice['id']}/lines", lines)
    emit(account, "invoice.created", {**invoice, "status": "draft"})
    emit(account, "invoice.finalized", invoice)
    return invoice


FIXED: JsonObject = {
    "account_country": "US",
    "account_tax_ids": None,
    "amount_overpaid": 0,
    "amount_paid": 0,
    "amount_shipping": 0,
    "application": None,
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": True,
    "automatic_tax": {
        "disabled_reason": None,
        "enabled": False,
        "liability": None,
        "provider": None,
        "status": None,
    },
    "automatically_finalizes_at": None,
    "collection_method": "charge_automatically",
    "custom_fields": None,
    "customer_account": None,
    "customer_tax_ids": [],
    "default_payment_method": None,
    "default_source": None,
    "default_tax_rates": [],
    "discounts": [],
    "due_date": None,
    "ending_balance": 0,
    "footer": None,
    "from_invoice": None,
    "invoice_pdf": None,
    "issuer": {"type": "self"},
    "last_finalization_error": None,
    "latest_revision": None,
    "livemode": False,
    "metadata": {},
    "next_payment_attempt": None,
    "on_behalf_of": None,
    "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "receipt_number": None,
    "rendering": None,
    "shipping_cost": None,
    "shipping_details": None,
    "starting_balance": 0,
    "statement_descriptor": None,
    "status": "open",
    "test_clock": None,
    "total_pretax_credit_amounts": [],
    "total_taxes": [],
    "webhooks_delivered_at": None,
}
"""What every new invoice starts with."""


def _invoice(
    account: Account, subscription: JsonObject, customer: JsonObject, reason: str, lines: list[JsonObject], off: int
) -> JsonObject:
    identity = new_id("in_")
    subtotal = sum(line["amount"] for line in lines)
    total = subtotal - off
    return {
        **copy.deepcopy(FIXED),
        "id": identity,
        "object": "invoice",
        "account_name": account.settings["business_name"],
        "amount_due": total,
        "amount_remaining": total,
        "billing_reason": reason,
        "created": account.now(),
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "description": subscription["description"],
        "effective_at": account.now(),
        "hosted_invoice_url": f"{account.base_url}/i/{identity}",
        "lines": as_list(f"/v1/invoices/{identity}/lines", []),
        "number": _next_number(customer),
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
                "subscription_proration_date": None,
            },
            "type": "subscription_details",
        },
        "period_end": account.now(),
        "period_start": account.now(),
        "status_transitions": {
            "finalized_at": account.now(),
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": [{"amount": off, "discount": new_id("di_")}] if off else [],
        "total_excluding_tax": total,
    }


def _next_number(customer: JsonObject) -> str:
    number = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = number + 1
    return f"{customer['invoice_prefix']}-{number:04d}"


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


def void(call: Call) -> JsonObject:
    """Declare an unpaid invoice void."""
    invoice = call.account.find("invoice", call.path["id"])
    if invoice["status"] not in {"open", "uncollectible"}:
        raise errors.wrong_state(f"You can only void an open invoice. This one is {invoice['status']}.")
    invoice.update(status="void", next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = call.account.now()
    emit(call.account, "invoice.voided", invoice)
    return invoice


def update(call: Call) -> JsonObject:
    """Change metadata."""
    invoice = call.account.find("invoice", call.path["id"])
    merge_metadata(invoice, call.params.get("metadata"))
    emit(call.account, "invoice.updated", invoice, {})
    return invoice


def list_invoices(call: Call) -> JsonObject:
    """Invoices, newest first, by customer, subscription or status."""
    wanted = call.params
    return page_of(
        call,
        (
            invoice
            for invoice in call.account.all("invoice")
            if wanted.get("customer") in {None, invoice["customer"]}
            and wanted.get("status") in {None, invoice["status"]}
            and wanted.get("subscription") in {None, subscription_of(invoice)}
        ),
    )


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


STATUS = Choice("draft", "open", "paid", "uncollectible", "void")
PAYMENT = Group({"type": Choice("payment_intent"), "payment_intent": Text()}, ("type",))
ENDPOINTS: list[Endpoint] = [
    read("/v1/invoices/{id}", reader("invoice")),
    listing("/v1/invoices", list_invoices, customer=Text(), subscription=Text(), status=STATUS, created=Instants()),
    write("/v1/invoices/{id}", update, {"metadata": Metadata()}),
    write("/v1/invoices/{id}/void", void, {}),
    listing(
        "/v1/invoice_payments",
        list_payments,
        invoice=Text(),
        status=Choice("open", "paid", "canceled"),
        payment=PAYMENT,
        created=Instants(),
    ),
    read("/v1/invoice_payments/{id}", reader("invoice_payment")),
]
