"""A web client that costs almost nothing, so that the server is what is measured."""

import http.client

from demo.environment import HOST

TIMEOUT_SECONDS = 30


def request(port: int, method: str, path: str, body: bytes = b"", signature: str = "") -> None:
    """One request on a connection of its own, as webhooks come; anything but 200 raises."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json", "Stripe-Signature": signature} if signature else {}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path} answered {answer.status}")
