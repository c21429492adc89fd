"""Webhooks: sent until a 2xx, up to 25 times over three days of the sandbox clock."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from sandbox.paypal.account import Account
from sandbox.state import JsonObject

MAX_TRIES, GAP_SECONDS = 25, 3 * 86_400 // 25


class WebhookSender:
    """Sends events that are due."""

    def __init__(self, account: Account, save: Callable[[], None]) -> None:
        self._account, self._save = account, save
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="paypal")
        self._tasks: set[asyncio.Task[None]] = set()
        account.on_reset.append(self.forget)

    def tick(self) -> None:
        """Send what is due."""
        if not self._account.settings["webhook_url"]:
            return
        for event in self._account.events:
            if event["state"] == "waiting" and event["due_at"] <= self._account.clock.now():
                event["state"] = "sending"
                task = asyncio.get_running_loop().create_task(self._send(event))
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
        await self.flush()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _send(self, event: JsonObject) -> None:
        has_arrived, settings = False, self._account.settings
        for _copy in range(event["copies"]):
            sent = asyncio.get_running_loop().run_in_executor(
                self._pool, _post, settings["webhook_url"], event, settings["timeout"]
            )
            has_arrived |= await sent
        event["tries"] += 1
        is_last = event["tries"] >= MAX_TRIES
        event["state"] = "delivered" if has_arrived else "failed" if is_last else "waiting"
        event["due_at"] = self._account.clock.now() + GAP_SECONDS
        self._save()


def _post(url: str, event: JsonObject, timeout: float) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        headers = event["headers"] | {"Content-Type": "application/json"}
        try:
            answer = session.post(
                url, data=event["body"].encode(), headers=headers, timeout=timeout, allow_redirects=False
            )
        except requests.RequestException:
            return False
        return 200 <= answer.status_code < 300
