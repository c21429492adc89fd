"""What happens to orders, captures, refunds and disputes, whoever causes it."""

from datetime import UTC, datetime
from decimal import Decimal

from sandbox.paypal.account import ORDER_SECONDS, Account, PayPalError, amount_of, missing, money, new_id, unprocessable
from sandbox.state import JsonObject

FEE_PERCENT, FEE_FIXED = Decimal("3.49"), Decimal("0.49")
MAX_TEXT = 127
REFUNDABLE = frozenset({"COMPLETED", "PARTIALLY_REFUNDED"})


def create_order(account: Account, body: JsonObject) -> JsonObject:
    """A new order. Raises PayPalError."""
    units = body.get("purchase_units")
    if body.get("intent") != "CAPTURE" or not isinstance(units, list) or len(units) != 1:
        raise PayPalError(400, "INVALID_REQUEST", "MISSING_REQUIRED_PARAMETER")
    amount_of(units[0].get("amount"))
    if any(len(str(units[0].get(name, ""))) > MAX_TEXT for name in ("custom_id", "description")):
        raise PayPalError(400, "INVALID_REQUEST", "INVALID_STRING_LENGTH")
    source = (body.get("payment_source") or {}).get("paypal")
    context = (source or {}).get("experience_context") or body.get("application_context") or {}
    number = new_id()
    page = account.link(f"/checkoutnow/{number}", "approve" if source is None else "payer-action")
    order = {
        "id": number,
        "status": "CREATED" if source is None else "PAYER_ACTION_REQUIRED",
        "intent": "CAPTURE",
        "purchase_units": [{"reference_id": "default", **units[0]}],
        "create_time": account.now(),
        "links": [account.link(f"/v2/checkout/orders/{number}", "self"), page],
        "return_url": context.get("return_url", ""),
        "cancel_url": context.get("cancel_url", ""),
        "created_at": account.clock.now(),
    }
    account.orders[number] = order
    return order


def find_order(account: Account, number: str) -> JsonObject:
    """An order that is not captured is gone after three hours. Raises PayPalError."""
    order = account.orders.get(number)
    if order is None:
        raise missing()
    if order["status"] != "COMPLETED" and order["created_at"] + ORDER_SECONDS <= account.clock.now():
        raise missing()
    return order


def approve(account: Account, number: str) -> bool:
    """The buyer approves; whether the order could still be approved."""
    try:
        order = find_order(account, number)
    except PayPalError:
        return False
    if order["status"] not in {"CREATED", "PAYER_ACTION_REQUIRED"}:
        return False
    order["status"] = "APPROVED"
    order["payer"] = {"payer_id": new_id(length=13), "email_address": "buyer@example.com"}
    account.record("CHECKOUT.ORDER.APPROVED", "checkout-order", shown(order))
    return True


def capture_order(account: Account, number: str) -> JsonObject:
    """Take the money of an approved order, once. Raises PayPalError."""
    order = find_order(account, number)
    if order["status"] == "COMPLETED":
        raise unprocessable("ORDER_ALREADY_CAPTURED")
    if order["status"] != "APPROVED":
        raise unprocessable("ORDER_NOT_APPROVED")
    outcome = account.settings["capture"]
    if outcome not in {"COMPLETED", "PENDING"}:
        if outcome == "INSTRUMENT_DECLINED":
            order["status"] = "PAYER_ACTION_REQUIRED"
        raise unprocessable(outcome)
    unit = order["purchase_units"][0]
    capture = {
        "id": new_id(),
        "status": outcome,
        "final_capture": True,
        "amount": unit["amount"],
        "custom_id": unit.get("custom_id"),
        "supplementary_data": {"related_ids": {"order_id": number}},
        "create_time": account.now(),
        "update_time": account.now(),
    }
    capture["links"] = [
        account.link(f"/v2/payments/captures/{capture['id']}", "self"),
        account.link(f"/v2/payments/captures/{capture['id']}/refund", "refund", "POST"),
        account.link(f"/v2/checkout/orders/{number}", "up"),
    ]
    account.captures[capture["id"]] = capture
    order["status"], unit["payments"] = "COMPLETED", {"captures": [capture]}
    if outcome == "PENDING":
        capture["status_details"] = {"reason": "ECHECK"}
        account.record("PAYMENT.CAPTURE.PENDING", "capture", capture)
    else:
        complete(account, capture)
    return order


def complete(account: Account, capture: JsonObject) -> None:
    """The money is there, less PayPal's fee."""
    gross, currency = Decimal(capture["amount"]["value"]), capture["amount"]["currency_code"]
    fee = Decimal(money(gross * FEE_PERCENT / 100 + FEE_FIXED, currency)["value"])
    capture |= {"status": "COMPLETED", "update_time": account.now()}
    capture.pop("status_details", None)
    capture["seller_receivable_breakdown"] = {
        "gross_amount": capture["amount"],
        "paypal_fee": money(fee, currency),
        "net_amount": money(gross - fee, currency),
    }
    account.record("PAYMENT.CAPTURE.COMPLETED", "capture", capture)


def deny(account: Account, capture: JsonObject) -> None:
    """The bank refuses what was pending."""
    capture |= {"status": "DECLINED", "update_time": account.now()}
    account.record("PAYMENT.CAPTURE.DENIED", "capture", capture)


def refund(account: Account, capture_id: str, body: JsonObject) -> JsonObject:
    """Give back all or a part of a capture. Raises PayPalError."""
    capture = account.captures.get(capture_id)
    if capture is None:
        raise missing()
    if capture["status"] == "PENDING":
        raise unprocessable("PENDING_CAPTURE")
    if any(dispute["capture"] == capture_id for dispute in account.disputes.values()):
        raise unprocessable("TRANSACTION_DISPUTED")
    if capture["status"] not in REFUNDABLE:
        raise unprocessable("CAPTURE_FULLY_REFUNDED")
    wanted = body.get("amount", capture["amount"])
    amount, whole = amount_of(wanted), Decimal(capture["amount"]["value"])
    others = (row for row in account.refunds.values() if row["capture"] == capture_id)
    earlier = sum((Decimal(row["amount"]["value"]) for row in others), Decimal(0))
    if amount > whole - earlier:
        raise unprocessable("REFUND_AMOUNT_EXCEEDED")
    currency = capture["amount"]["currency_code"]
    number = new_id()
    row = {
        "id": number,
        "status": account.settings["refund"],
        "amount": money(amount, currency),
        "custom_id": body.get("custom_id"),
        "seller_payable_breakdown": {
            "gross_amount": money(amount, currency),
            "paypal_fee": money(Decimal(0), currency),
            "net_amount": money(amount, currency),
            "total_refunded_amount": money(amount + earlier, currency),
        },
        "create_time": account.now(),
        "links": [
            account.link(f"/v2/payments/refunds/{number}", "self"),
            account.link(f"/v2/payments/captures/{capture_id}", "up"),
        ],
        "capture": capture_id,
    }
    account.refunds[number] = row
    capture["status"] = "REFUNDED" if amount + earlier == whole else "PARTIALLY_REFUNDED"
    account.record("PAYMENT.CAPTURE.REFUNDED", "refund", shown(row))
    return row


def dispute(account: Account, capture_id: str, amount: str | None) -> JsonObject:
    """The buyer disputes a capture: PayPal holds the amount back. Raises PayPalError."""
    capture = account.captures.get(capture_id)
    if capture is None:
        raise missing()
    row = {
        "dispute_id": new_id("PP-D-", 6),
        "create_time": datetime.fromtimestamp(account.clock.seconds(), UTC).isoformat(),
        "disputed_transactions": [{"seller_transaction_id": capture_id}],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "WAITING_FOR_SELLER_RESPONSE",
        "dispute_life_cycle_stage": "CHARGEBACK",
        "dispute_amount": capture["amount"] | ({"value": amount} if amount else {}),
        "capture": capture_id,
    }
    account.disputes[row["dispute_id"]] = row
    account.record("CUSTOMER.DISPUTE.CREATED", "dispute", shown(row))
    return row


def resolve(account: Account, number: str, outcome: str) -> JsonObject:
    """PayPal decides a dispute. Raises PayPalError."""
    row = account.disputes.get(number)
    if row is None:
        raise missing()
    row |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome}}
    account.record("CUSTOMER.DISPUTE.RESOLVED", "dispute", shown(row))
    return row


def shown(thing: JsonObject) -> JsonObject:
    """An object as the API shows it."""
    hidden = {"return_url", "cancel_url", "created_at", "capture"}
    return {name: value for name, value in thing.items() if name not in hidden}
