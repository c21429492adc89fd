"""Callbacks: at most three tries, two minutes of the sandbox clock apart, until the answer's JSON says `success`."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from sandbox.state import JsonObject
from sandbox.tripay.merchant import Merchant

MAX_TRIES, GAP_SECONDS = 3, 120


class CallbackSender:
    """Sends what is due. A `held` callback waits for its release, so that it arrives after a later one."""

    def __init__(self, merchant: Merchant, save: Callable[[], None]) -> None:
        self._merchant, self._save = merchant, save
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="callback")
        self._tasks: set[asyncio.Task[None]] = set()
        merchant.on_reset.append(self.forget)

    def tick(self) -> None:
        """Expire what is over, and send what is due."""
        self._merchant.expire_due()
        for callback in self._merchant.callbacks:
            is_due = callback["state"] == "waiting" and callback["due_at"] <= self._merchant.clock.now()
            if is_due and callback["url"]:
                callback["state"] = "sending"
                task = asyncio.get_running_loop().create_task(self._send(callback))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Wait until nothing is being sent."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget(self) -> None:
        """Give up everything under way."""
        for task in list(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """Stop for good."""
        self.forget()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _send(self, callback: JsonObject) -> None:
        has_arrived = False
        for _copy in range(callback["copies"]):
            timeout = self._merchant.settings["timeout"]
            has_arrived |= await asyncio.get_running_loop().run_in_executor(self._pool, _post, callback, timeout)
        callback["tries"].append({"at": self._merchant.clock.now(), "is_success": has_arrived})
        if has_arrived:
            callback["state"] = "delivered"
        elif len(callback["tries"]) >= MAX_TRIES:
            callback["state"] = "failed"
        else:
            callback |= {"state": "waiting", "due_at": self._merchant.clock.now() + GAP_SECONDS}
        self._save()


def _post(callback: JsonObject, timeout: float) -> bool:
    """Whether the answer is JSON with `success` true; a redirect, or a 200 with anything else, is none."""
    headers = {
        "Content-Type": "application/json",
        "X-Callback-Event": callback["event"],
        "X-Callback-Signature": callback["signature"],
    }
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(
                callback["url"], data=callback["body"].encode(), headers=headers, timeout=timeout, allow_redirects=False
            )
            content = answer.json()
        except requests.RequestException:  # also an answer that is not JSON
            return False
        return answer.status_code == 200 and isinstance(content, dict) and content.get("success") is True
