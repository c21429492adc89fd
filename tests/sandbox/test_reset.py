"""A reset: requests from before it change nothing after it."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from sandbox.client import Sandbox

USER = {"username": "late", "email": "late@customer.test", "first_name": "L", "last_name": "Ate", "password": "x" * 12}


def test_a_call_delayed_past_a_reset_does_no_work(running_sandbox: Sandbox) -> None:
    sandbox = running_sandbox
    sandbox.reset()
    keys = sandbox.panel_keys()
    headers = {"Authorization": f"Bearer {keys['application']}", "Accept": "application/json"}
    before = len(sandbox.panel_state()["users"])
    sandbox.arm("pterodactyl", "POST /api/application/users", "delay", seconds=0.4)

    def call() -> None:
        with contextlib.suppress(requests.ConnectionError):
            requests.post(f"{keys['url']}/api/application/users", json=USER, headers=headers, timeout=5)

    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(call)
        while not sandbox.requests("pterodactyl", "POST /api/application/users"):
            time.sleep(0.01)
        sandbox.reset()
        waiting.result()

    assert len(sandbox.panel_state()["users"]) == before
