"""The panel stand-in for its tests: requests with the administrator's keys, and the control routes."""

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

TERRARIA = 16
TERRARIA_ENVIRONMENT = {
    "TERRARIA_VERSION": "latest",
    "WORLD_NAME": "world",
    "WORLD_SIZE": "1",
    "WORLD_DIFFICULTY": "3",
    "MAX_PLAYERS": "8",
    "PASSWORD": "",
    "SERVER_MOTD": "Welcome",
}


class PanelUnderTest:
    """One running stand-in."""

    def __init__(self, sandbox_url: str) -> None:
        self.sandbox_url = sandbox_url
        self.local = threading.local()
        self.url = f"{sandbox_url}/pterodactyl"
        found = requests.get(f"{sandbox_url}/_control/pterodactyl/keys", timeout=10).json()
        self.application_key: str = found["application"]
        self.client_key: str = found["client"]

    # Requests to the panel.

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> requests.Response:
        """A request for JSON to a path below the panel."""
        sent = {"Accept": "application/json", "Authorization": f"Bearer {key or self.client_key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        options: dict[str, Any] = {"timeout": 20, "allow_redirects": False}
        return self.http().request(method, self.url + path, json=body, headers=sent, **options)

    def http(self) -> requests.Session:
        """The connections of this thread."""
        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
        session: requests.Session = self.local.session
        return session

    def application(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """A request to the application API with the application key."""
        return self.call(method, f"/api/application{path}", body, **{"key": self.application_key, **options})

    def client(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """A request to the client API with the administrator's client key."""
        return self.call(method, f"/api/client{path}", body, **options)

    def post_at_once(self, path: str, bodies: Sequence[dict[str, Any]]) -> list[requests.Response]:
        """Post all bodies at the same time."""
        return at_once([functools.partial(self.call, "POST", path, body) for body in bodies])

    # Control.

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A control request that has to succeed."""
        answer = self.http().request(method, f"{self.sandbox_url}/_control{path}", json=body, timeout=20)
        assert answer.ok, answer.text
        return answer.json()

    def set(self, **settings: Any) -> None:
        """Change settings of the panel."""
        self.control("POST", "/pterodactyl/settings", settings)

    def seed(self, *nodes: dict[str, Any]) -> None:
        """Load the seed with these nodes."""
        self.control("POST", "/pterodactyl/seed", {"nodes": list(nodes)})

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.control("POST", "/clock", {"advance": seconds})

    def state(self, table: str) -> list[dict[str, Any]]:
        """All records of a table."""
        rows: list[dict[str, Any]] = self.control("GET", "/pterodactyl/state")[table]
        return rows

    def arm(self, kind: str, match: str, **options: Any) -> None:
        """Arm a fault on the panel."""
        self.control("POST", "/faults", {"service": "pterodactyl", "kind": kind, "match": match, **options})

    # Rows to test with.

    def server_body(self, **changes: Any) -> dict[str, Any]:
        """The body of a create that succeeds, with the first free port."""
        body = {
            "external_id": "svc-1",
            "name": "A server",
            "user": 1,
            "egg": TERRARIA,
            "docker_image": "ghcr.io/parkervcp/yolks:debian",
            "startup": "./server",
            "environment": dict(TERRARIA_ENVIRONMENT),
            "limits": {"memory": 1024, "swap": 0, "disk": 2048, "io": 500, "cpu": 100, "threads": None},
            "feature_limits": {"databases": 1, "allocations": 2, "backups": 2},
            "allocation": {"default": self.free_allocation()},
        }
        body.update(changes)
        return {name: value for name, value in body.items() if value is not ...}

    def deployed_body(self, **changes: Any) -> dict[str, Any]:
        """The body of a create whose port the panel picks."""
        deploy = {"locations": [], "dedicated_ip": False, "port_range": [], **changes.pop("deploy", {})}
        return self.server_body(allocation=..., deploy=deploy, **changes)

    def free_allocation(self, index: int = 0) -> int:
        """The id of a free port."""
        free = [each["id"] for each in self.state("allocations") if each["server_id"] is None]
        return int(free[index])

    def make_server(self, **changes: Any) -> dict[str, Any]:
        """A server whose install still runs."""
        answer = self.application("POST", "/servers", self.server_body(**changes))
        assert answer.status_code == 201, answer.text
        attributes: dict[str, Any] = answer.json()["attributes"]
        return attributes

    def make_ready_server(self, **changes: Any) -> dict[str, Any]:
        """A server whose install is over."""
        server = self.make_server(**changes)
        self.advance(3.5)
        assert self.status_of(server) is None
        return server

    def make_user(self, **changes: Any) -> dict[str, Any]:
        """A user who is no administrator."""
        answer = self.application("POST", "/users", user_body(**changes))
        assert answer.status_code == 201, answer.text
        attributes: dict[str, Any] = answer.json()["attributes"]
        return attributes

    def key_of(self, user: dict[str, Any], kind: str = "client", **options: Any) -> str:
        """A new key of a user."""
        made = self.control("POST", "/pterodactyl/keys", {"user_id": user["id"], "kind": kind, **options})
        return str(made["key"])

    def status_of(self, server: dict[str, Any]) -> str | None:
        """A server's status by the application API."""
        found = self.application("GET", f"/servers/{server['id']}").json()
        status: str | None = found["attributes"]["status"]
        return status


def user_body(**changes: Any) -> dict[str, Any]:
    """The body of a user create that succeeds."""
    body: dict[str, Any] = {
        "external_id": "acc-1",
        "email": "ann@example.test",
        "username": "ann",
        "first_name": "Ann",
        "last_name": "Lee",
        "password": "long enough 1",
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not ...}


def at_once[R](works: Sequence[Callable[[], R]]) -> list[R]:
    """Run all at the same time and return their results."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def errors_of(answer: requests.Response) -> list[tuple[str, str]]:
    """Field and rule of every element of a 422."""
    assert answer.status_code == 422, answer.text
    return [(each["meta"]["source_field"], each["meta"]["rule"]) for each in answer.json()["errors"]]


def code_of(answer: requests.Response) -> tuple[int, str]:
    """Status and exception class of a refusal; the envelope has the same status."""
    element = answer.json()["errors"][0]
    assert element["status"] == str(answer.status_code)
    return answer.status_code, element["code"]
