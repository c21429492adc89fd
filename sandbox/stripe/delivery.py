"""The courier: carries events to endpoints, signed anew on every try, as often as it takes."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from sandbox.state import JsonObject
from sandbox.stripe.account import Account, new_id
from sandbox.stripe.webhook_endpoints import listeners, secret_of

AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
THREADS = 32
KEPT_DELIVERIES = 2000
WRONG_SECRET = "whsec_not_the_secret_of_this_endpoint"  # noqa: S105  wrong on purpose


def signature(body: str, secret: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `t.body`, keyed with the whole secret, prefix included."""
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Courier:
    """Delivers what is in the account's outbox; first tries keep their order per endpoint, retries do not."""

    def __init__(self, account: Account, save: Callable[[], None]) -> None:
        self._account = account
        self._save = save
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._held: list[JsonObject] = []
        account.on_reset.append(self.forget)

    def dispatch(self) -> list[asyncio.Task[None]]:
        """Start carrying new events; returns the first tries of those marked `before_answer`."""
        urgent: list[asyncio.Task[None]] = []
        outbox, self._account.outbox = self._account.outbox, []
        for identity in outbox:
            event = self._account.get("event", identity)
            if event is None:
                continue
            plan = self._account.note(identity)["plan"]
            for endpoint in listeners(self._account, event["type"]):
                task = self._begin(self._new_delivery(event, endpoint), plan)
                if task is not None and "before_answer" in plan:
                    urgent.append(task)
        return urgent

    def resume(self) -> None:
        """Go on with deliveries that a restart interrupted."""
        for delivery in self._account.deliveries:
            if delivery["state"] == "waiting":
                self._start(self._carry(delivery, {}))

    def resend(self, event: JsonObject) -> int:
        """Deliver an event once more to every listener, without switches; returns to how many."""
        endpoints = listeners(self._account, event["type"])
        for endpoint in endpoints:
            self._start(self._carry(self._new_delivery(event, endpoint), {}))
        return len(endpoints)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being carried, held or waiting for a retry."""
        return not self._tasks and not self._held

    def forget(self) -> None:
        """Give up everything under way."""
        for task in list(self._tasks):
            task.cancel()
        self._held.clear()
        self._locks.clear()

    async def close(self) -> None:
        """Stop for good; waiting deliveries stay in the saved state."""
        tasks = list(self._tasks)
        self.forget()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _new_delivery(self, event: JsonObject, endpoint: JsonObject) -> JsonObject:
        delivery = {
            "id": new_id("del_"),
            "event": event["id"],
            "type": event["type"],
            "endpoint": endpoint["id"],
            "state": "waiting",
            "tries": [],
        }
        event["pending_webhooks"] += 1
        self._account.deliveries.append(delivery)
        del self._account.deliveries[:-KEPT_DELIVERIES]
        return delivery

    def _begin(self, delivery: JsonObject, plan: JsonObject) -> asyncio.Task[None] | None:
        if "drop" in plan:
            delivery["state"] = "dropped"
            return None
        if "reorder" in plan:
            if not self._held:
                self._start(self._release(plan["reorder"]["seconds"]))
            self._held.append({"delivery": delivery, "plan": plan})
            return None
        return self._start(self._carry(delivery, plan))

    async def _release(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        held, self._held = self._held, []
        for entry in reversed(held):
            self._start(self._carry(entry["delivery"], entry["plan"]))

    def _start(self, work: "asyncio._CoroutineLike[None]") -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry(self, delivery: JsonObject, plan: JsonObject) -> None:
        """Make the first try in its turn; when it fails, leave the retries to a task of their own."""
        if "delay" in plan:
            await asyncio.sleep(plan["delay"]["seconds"])
        async with self._locks.setdefault(delivery["endpoint"], asyncio.Lock()):
            has_arrived = await self._try_all(delivery, plan)
        if not has_arrived:
            self._start(self._retry(delivery, plan))

    async def _retry(self, delivery: JsonObject, plan: JsonObject) -> None:
        for gap in self._account.settings["gaps"][max(0, len(delivery["tries"]) - 1) :]:
            await asyncio.sleep(gap)
            if await self._try(delivery, plan):
                return
        delivery["state"] = "failed"
        self._save()

    async def _try_all(self, delivery: JsonObject, plan: JsonObject) -> bool:
        copies = plan.get("concurrent", {}).get("count", 1)
        outcomes = await asyncio.gather(*(self._try(delivery, plan) for _ in range(copies)))
        for _ in range(plan.get("duplicate", {}).get("count", 1) - 1):
            outcomes.append(await self._try(delivery, plan))
        return any(outcomes)

    async def _try(self, delivery: JsonObject, plan: JsonObject) -> bool:
        """Post once; True on any 2xx. Redirects, other answers and silence count as failure."""
        endpoint = self._account.get("webhook_endpoint", delivery["endpoint"])
        event = self._account.get("event", delivery["event"])
        if endpoint is None or event is None:
            return True
        attempt: JsonObject = {"at": time.time(), "status": None}
        number = len(delivery["tries"])
        delivery["tries"].append(attempt)
        body = json.dumps(event, indent=2)
        headers = self._headers(body, secret_of(self._account, endpoint), plan, number)
        loop = asyncio.get_running_loop()
        timeout = self._account.settings["timeout"]
        attempt["status"] = await loop.run_in_executor(self._pool, _post, endpoint["url"], body, headers, timeout)
        return self._note_outcome(delivery, event, attempt["status"])

    def _note_outcome(self, delivery: JsonObject, event: JsonObject, status: int | None) -> bool:
        has_arrived = status is not None and 200 <= status < 300
        if has_arrived and delivery["state"] == "waiting":
            delivery["state"] = "delivered"
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        self._save()
        return has_arrived

    @staticmethod
    def _headers(body: str, secret: str, plan: JsonObject, number: int) -> dict[str, str]:
        at = int(time.time())  # real time: receivers judge its age by their own clock
        if _spoils("old_timestamp", plan, number):
            at -= int(plan["old_timestamp"]["seconds"])
        if _spoils("bad_signature", plan, number):
            secret = WRONG_SECRET
        return {
            "Stripe-Signature": signature(body, secret, at),
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": AGENT,
        }


def _spoils(kind: str, plan: JsonObject, number: int) -> bool:
    return kind in plan and (plan[kind]["tries"] == 0 or number < plan[kind]["tries"])


def _post(url: str, body: str, headers: dict[str, str], timeout: float) -> int | None:
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(url, data=body.encode(), headers=headers, timeout=timeout, allow_redirects=False)
        except requests.RequestException:
            return None
        return answer.status_code
