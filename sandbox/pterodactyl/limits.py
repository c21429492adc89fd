"""Request limits: a fixed window per API and key owner, opened by the first request."""

from dataclasses import dataclass, field

from sandbox.pterodactyl.errors import PanelError


@dataclass(slots=True)
class Window:
    """The requests of one owner on one API since the window opened."""

    closes_at: float
    used: int = 0


@dataclass(slots=True)
class RateLimiter:
    """Counts requests; the application and client APIs have separate buckets."""

    windows: dict[tuple[str, str], Window] = field(default_factory=dict)

    def count(self, bucket: tuple[str, str], *, limit: int, seconds: float, now: float) -> dict[str, str]:
        """Count one request and return the headers its answer carries.

        Raises a 429 when the window is used up; such a request is not counted.
        """
        window = self.windows.get(bucket)
        if window is None or window.closes_at <= now:
            window = self.windows[bucket] = Window(closes_at=now + seconds)
        if window.used >= limit:
            raise too_many_requests(limit, window.closes_at, now)
        window.used += 1
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(limit - window.used)}

    def clear(self) -> None:
        """Forget every window."""
        self.windows.clear()


def too_many_requests(limit: int, closes_at: float, now: float) -> PanelError:
    """429 with all four headers."""
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "Retry-After": str(max(1, int(closes_at - now))),
        "X-RateLimit-Reset": str(int(closes_at)),
    }
    return PanelError(429, "ThrottleRequestsException", "Too Many Attempts.", headers)
