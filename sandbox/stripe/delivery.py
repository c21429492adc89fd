"""Webhooks: events go to endpoints, signed anew on every try, and are tried again until one is taken."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

import requests

from sandbox.state import JsonObject
from sandbox.stripe.account import Account, new_id

AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
THREADS = 32
MAX_DELIVERIES = 2000
WRONG_SECRET = "whsec_not_the_secret_of_this_endpoint"  # noqa: S105  wrong on purpose


def signature(body: str, secret: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `t.body`, keyed with the whole secret, prefix included."""
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def register_endpoint(account: Account, url: str, secret: str, enabled_events: list[str] | None) -> JsonObject:
    """Send events to `url`, all or those whose type fits one of the globs; the same address again replaces it."""
    account.endpoints = [each for each in account.endpoints if each["url"] != url]
    endpoint = {"id": new_id("we_"), "url": url, "secret": secret, "enabled_events": enabled_events or ["*"]}
    account.endpoints.append(endpoint)
    return endpoint


class WebhookSender:
    """Delivers what is in the account's outbox; first tries keep their order per endpoint, retries do not."""

    def __init__(self, account: Account, save: Callable[[], None]) -> None:
        self._account = account
        self._save = save
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._reordered: list[tuple[JsonObject, JsonObject]] = []
        account.on_reset.append(self.forget)

    def dispatch(self) -> list[asyncio.Task[None]]:
        """Start sending new events; returns the first tries of those marked `before_answer`."""
        urgent: list[asyncio.Task[None]] = []
        outbox, self._account.outbox = self._account.outbox, []
        for identity in outbox:
            event = self._account.get("event", identity)
            if event is None:
                continue
            plan = self._account.note(identity)["plan"]
            for delivery in self._new_deliveries(event):
                if "drop" in plan:
                    delivery["state"] = "dropped"
                elif "reorder" in plan:
                    if not self._reordered:
                        self._start(self._send_newest_first(plan["reorder"]["seconds"]))
                    self._reordered.append((delivery, plan))
                else:
                    task = self._start(self._deliver(delivery, plan))
                    urgent += [task] if "before_answer" in plan else []
        return urgent

    def resume(self) -> None:
        """Go on with deliveries that a restart interrupted."""
        for delivery in self._account.deliveries:
            if delivery["state"] == "waiting":
                self._start(self._deliver(delivery, {}))

    def resend(self, event: JsonObject) -> int:
        """Deliver an event once more to every endpoint that wants it, without switches; returns to how many."""
        deliveries = self._new_deliveries(event)
        for delivery in deliveries:
            self._start(self._deliver(delivery, {}))
        return len(deliveries)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being sent, reordered or waiting for a retry."""
        return not self._tasks and not self._reordered

    def forget(self) -> None:
        """Give up everything under way."""
        for task in list(self._tasks):
            task.cancel()
        self._reordered.clear()
        self._locks.clear()

    async def close(self) -> None:
        """Stop for good; waiting deliveries stay in the saved state."""
        tasks = list(self._tasks)
        self.forget()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _new_deliveries(self, event: JsonObject) -> list[JsonObject]:
        """One delivery for each endpoint that wants events of this type."""
        wanting = [
            endpoint
            for endpoint in self._account.endpoints
            if any(fnmatchcase(event["type"], wanted) for wanted in endpoint["enabled_events"])
        ]
        about = {"event": event["id"], "type": event["type"]}
        deliveries: list[JsonObject] = [
            {"id": new_id("del_"), **about, "endpoint": each["id"], "state": "waiting", "tries": []} for each in wanting
        ]
        event["pending_webhooks"] += len(deliveries)
        self._account.deliveries.extend(deliveries)
        del self._account.deliveries[:-MAX_DELIVERIES]
        return deliveries

    async def _send_newest_first(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        waiting, self._reordered = self._reordered, []
        for delivery, plan in reversed(waiting):
            self._start(self._deliver(delivery, plan))

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(self, delivery: JsonObject, plan: JsonObject) -> None:
        """Make the first try, and its copies, in its turn; when all fail, leave the retries to a task of their own."""
        if "delay" in plan:
            await asyncio.sleep(plan["delay"]["seconds"])
        async with self._locks.setdefault(delivery["endpoint"], asyncio.Lock()):
            copies = plan.get("concurrent", {}).get("count", 1)
            outcomes = await asyncio.gather(*(self._try(delivery, plan) for _ in range(copies)))
            for _ in range(plan.get("duplicate", {}).get("count", 1) - 1):
                outcomes.append(await self._try(delivery, plan))
        if not any(outcomes):
            self._start(self._retry(delivery, plan))

    async def _retry(self, delivery: JsonObject, plan: JsonObject) -> None:
        for gap in self._account.settings["gaps"][max(0, len(delivery["tries"]) - 1) :]:
            await asyncio.sleep(gap)
            if await self._try(delivery, plan):
                return
        delivery["state"] = "failed"
        self._save()

    async def _try(self, delivery: JsonObject, plan: JsonObject) -> bool:
        """Post once; True on any 2xx. Redirects, other answers and silence count as failure."""
        endpoint = next((each for each in self._account.endpoints if each["id"] == delivery["endpoint"]), None)
        event = self._account.get("event", delivery["event"])
        if endpoint is None or event is None:
            return True
        attempt: JsonObject = {"at": time.time(), "status": None}
        number = len(delivery["tries"])
        delivery["tries"].append(attempt)
        spoils = {kind for kind, switch in plan.items() if switch["tries"] == 0 or number < switch["tries"]}
        at = int(time.time())  # real time: receivers judge its age by their own clock
        if "old_timestamp" in spoils:
            at -= int(plan["old_timestamp"]["seconds"])
        body = json.dumps(event, indent=2)
        headers = {
            "Stripe-Signature": signature(body, WRONG_SECRET if "bad_signature" in spoils else endpoint["secret"], at),
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": AGENT,
        }
        loop, timeout = asyncio.get_running_loop(), self._account.settings["timeout"]
        status = await loop.run_in_executor(self._pool, _post, endpoint["url"], body, headers, timeout)
        attempt["status"] = status
        has_arrived = status is not None and 200 <= status < 300
        if has_arrived and delivery["state"] == "waiting":
            delivery["state"] = "delivered"
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        self._save()
        return has_arrived


def _post(url: str, body: str, headers: dict[str, str], timeout: float) -> int | None:
    """The answer's status; None when there was no answer."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(url, data=body.encode(), headers=headers, timeout=timeout, allow_redirects=False)
        except requests.RequestException:
            return None
        return answer.status_code
