"""The cloud's stand-in: a small HTTP server of the test process. The same creation twice makes two machines."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "cloud-token"
REGIONS = [{"slug": "fra", "name": "Frankfurt"}, {"slug": "nyc", "name": "New York"}]


class NotFound(Exception):
    """No such machine."""


@dataclass
class CloudSandbox:
    """The state of the stand-in. An install ends when the machine is looked at `looks_to_install` times."""

    url: str = ""
    machines: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    looks_to_install: int = 1
    starts_off: bool = False
    answers_to_lose: int = 0
    requests_to_drop: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A machine without an address, being installed."""
        number = max(self.machines, default=400) + 1
        wanted = {name: body[name] for name in ("name", "region", "plan", "image", "user_data", "tags")}
        private = {"looks": self.looks_to_install, "erased": 0}
        self.machines[number] = {
            **wanted,
            "id": number,
            "status": "new",
            "suspended": False,
            "addresses": [],
            **private,
        }
        return self.machines[number]

    def look(self, number: int) -> dict[str, Any]:
        """The machine as it is now."""
        if number not in self.machines:
            raise NotFound
        machine = self.machines[number]
        if machine["status"] == "new":
            machine["looks"] -= 1
            if machine["looks"] < 0:
                machine["status"] = "off" if self.starts_off else "active"
                machine["addresses"] = [f"198.51.100.{number % 250}", f"2001:db8::{number}"]
        return machine

    def act(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        """Carry out an action at once."""
        machine = self.look(number)
        match body["type"]:
            case "power_on" | "reboot":
                machine["status"] = "active"
            case "power_off":
                machine["status"] = "off"
            case "suspend":
                machine.update(status="off", suspended=True)
            case "resume":
                machine["suspended"] = False
            case "rebuild":
                machine.update(status="new", looks=self.looks_to_install, erased=machine["erased"] + 1)
            case "resize":
                machine["plan"] = body["plan"]
            case "rename":
                machine["name"] = body["name"]
            case "tag":
                machine["tags"].append(body["tag"])
        return machine

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        """The body of an answer. Raises NotFound."""
        match path.strip("/").split("/")[1:]:
            case ["regions"]:
                return {"regions": REGIONS}
            case ["machines"] if method == "POST":
                return {"machine": self.create(body)}
            case ["machines"]:
                tags = query.get("tag")
                found = [self.look(number) for number in list(self.machines)]
                return {"machines": [each for each in found if not tags or tags[0] in each["tags"]]}
            case ["machines", number] if method == "DELETE":
                if self.machines.pop(int(number), None) is None:
                    raise NotFound
                return None
            case ["machines", number]:
                return {"machine": self.look(int(number))}
            case ["machines", number, "actions"]:
                return {"machine": self.act(int(number), body)}
        raise NotFound


class Handler(BaseHTTPRequestHandler):
    """One request; the server has the state."""

    sandbox: CloudSandbox

    def handle_call(self) -> None:
        """Answer, or close the connection before or after the work as the test wants."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        url = urlsplit(self.path)
        with self.sandbox.lock:
            self.sandbox.requests.append(f"{self.command} {url.path}")
            is_creation = self.command == "POST" and url.path == "/v2/machines"
            if is_creation and self.sandbox.requests_to_drop:
                self.sandbox.requests_to_drop -= 1
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.reply(401, {"id": "unauthorized"})
                return
            try:
                answer = self.sandbox.answer(self.command, url.path, parse_qs(url.query), body)
            except NotFound:
                self.reply(404, {"id": "not_found"})
                return
            if is_creation and self.sandbox.answers_to_lose:
                self.sandbox.answers_to_lose -= 1
                return
            self.reply(200 if answer else 204, answer)

    do_GET = do_POST = do_DELETE = handle_call  # noqa: N815 - the names that the library calls

    def reply(self, status: int, answer: Any) -> None:
        """A JSON answer."""
        content = json.dumps(answer).encode() if answer else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on the console."""


@contextmanager
def running() -> Iterator[CloudSandbox]:
    """A stand-in that answers on a port of its own while the block runs."""
    sandbox = CloudSandbox()
    handler = type("CloudHandler", (Handler,), {"sandbox": sandbox})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    sandbox.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sandbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
