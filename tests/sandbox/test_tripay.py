"""The Tripay stand-in is no kinder than its contract: callbacks, types, lifetimes and references."""

from typing import Any

import pytest
import requests

from sandbox.client import Sandbox
from sandbox.tripay.merchant import MERCHANT, PRIVATE_KEY, TEST_KEY, signature
from tests.core.local_server import LocalServer, reply

JSON = {"Content_Type": "application/json"}


@pytest.fixture
def tripay(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


def call(sandbox: Sandbox, method: str, path: str, **options: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TEST_KEY}"}
    url = f"{sandbox.base_url}/tripay/api-sandbox/{path}"
    return dict(requests.request(method, url, headers=headers, timeout=5, **options).json())


def control(sandbox: Sandbox, method: str, path: str, **body: Any) -> dict[str, Any]:
    url = f"{sandbox.base_url}/_control/tripay/{path}"
    return dict(requests.request(method, url, json=body, timeout=5).json())


def create(sandbox: Sandbox, channel: str = "BRIVA", seconds: int = 7200, **fields: Any) -> dict[str, Any]:
    body = {
        "method": channel,
        "merchant_ref": "INV-1",
        "amount": 150_000,
        "customer_name": "Budi",
        "customer_email": "budi@example.com",
        "order_items": [{"name": "Server", "price": 150_000, "quantity": 1}],
        "expired_time": int(sandbox.now()) + seconds,
    }
    body |= fields
    signed = f"{MERCHANT}{body['merchant_ref']}{body['amount']}".encode()
    return call(sandbox, "POST", "transaction/create", json={"signature": signature(PRIVATE_KEY, signed)} | body)


def test_a_callback_is_tried_three_times_two_minutes_apart_until_the_json_says_success(tripay: Sandbox) -> None:
    moved = reply(307, b"{}", Location="/elsewhere", **JSON)
    server = LocalServer([reply(200, b'{"success": false}', **JSON), moved, reply(200, b"OK")])
    control(tripay, "POST", "settings", callback_url=f"{server.url}/hook")
    reference = create(tripay)["data"]["reference"]
    control(tripay, "POST", f"transactions/{reference}", status="PAID")

    for tries in (1, 2, 3, 3):
        control(tripay, "POST", "settle")
        assert len(server.requests) == tries
        tripay.advance(121)

    (callback,) = control(tripay, "GET", "state")["callbacks"]
    assert callback["state"] == "failed"
    server.replies = [reply(200, b'{"success": true}', **JSON)]
    control(tripay, "POST", f"callbacks/{callback['id']}/send")  # a replay
    control(tripay, "POST", "settle")
    assert control(tripay, "GET", "state")["callbacks"][0]["state"] == "delivered"
    assert "\\/" in server.requests[-1]
    server.close()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signature": "0" * 64}, "Invalid signature"),
        ({"amount": 150_001}, "Total order_items"),
        ({"channel": "MYBVA"}, "tidak aktif"),
        ({"customer_email": "nobody"}, "Invalid customer email"),
        ({"seconds": 45 * 60}, "Invalid expired_time"),
        ({"channel": "QRIS", "seconds": 3700}, "Invalid expired_time"),
    ],
)
def test_what_tripay_refuses_is_refused(tripay: Sandbox, fields: dict[str, Any], message: str) -> None:
    answer = create(tripay, **fields)

    assert answer["success"] is False
    assert message in answer["message"]


def test_a_repeated_reference_makes_a_second_transaction_and_types_differ_from_call_to_call(tripay: Sandbox) -> None:
    first, second = (create(tripay)["data"] for _ in range(2))
    assert first["reference"] != second["reference"]
    assert first["reference"].startswith(f"DEV-{MERCHANT}")
    for row in (first, second):
        control(tripay, "POST", f"transactions/{row['reference']}", status="PAID")

    detail = call(tripay, "GET", "transaction/detail", params={"reference": first["reference"]})["data"]
    listed = call(tripay, "GET", "merchant/transactions", params={"merchant_ref": "INV-1", "per_page": 1})

    assert (type(detail["paid_at"]), detail["pay_code"][0]) == (str, "0")
    assert "qr_string" not in detail
    assert isinstance(listed["data"][0]["pay_code"], int)
    assert (len(listed["data"]), listed["pagination"]["next_page"]) == (1, 2)
    checked = call(tripay, "GET", "transaction/check-status", params={"reference": first["reference"]})
    assert checked == {"success": True, "message": "Status transaksi saat ini PAID"}
    channels = {row["code"]: row for row in call(tripay, "GET", "merchant/payment-channel")["data"]}
    assert channels["QRIS"]["total_fee"]["percent"] == "0.70"
