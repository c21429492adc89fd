"""Request limits: a fixed window per API and key owner, opened by the first request."""

from dataclasses import dataclass, field

from sandbox.pterodactyl.errors import PanelError

WINDOW_SECONDS = 60


@dataclass(slots=True)
class Window:
    """The requests of one owner to one API since the window opened."""

    closes_at: float
    used: int = 0


@dataclass(slots=True)
class RateLimiter:
    """Counts requests per API and owner."""

    windows: dict[tuple[str, str], Window] = field(default_factory=dict)

    def count(self, api: str, owner: str, *, limit: int, now: float) -> dict[str, str]:
        """Count one request and return the headers of its answer.

        Raises a 429 when the limit is reached; such a request is not counted.
        """
        window = self.windows.get((api, owner))
        if window is None or window.closes_at <= now:
            window = self.windows[api, owner] = Window(closes_at=now + WINDOW_SECONDS)
        if window.used >= limit:
            raise too_many_requests(limit, window.closes_at, now)
        window.used += 1
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(limit - window.used)}


def too_many_requests(limit: int, closes_at: float, now: float) -> PanelError:
    """429 with all four headers."""
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "Retry-After": str(max(1, int(closes_at - now))),
        "X-RateLimit-Reset": str(int(closes_at)),
    }
    return PanelError(429, "ThrottleRequestsException", "Too Many Attempts.", headers)
