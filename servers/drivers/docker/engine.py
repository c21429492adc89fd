"""The engine of one host, through Docker's own library: its connection, and its errors as ours."""

import ipaddress
import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import parse_repository_tag

from core import outside
from servers import pulls
from servers.drivers.docker.settings import Host
from servers.drivers.inventory import line

log = logging.getLogger(__name__)
# What the driver was written for; a newer engine is spoken to in these words as long as it understands them.
OLDEST_API, NEWEST_API = "1.41", "1.45"
SECONDS = 20.0
PULL_SECONDS = 1500.0
SILENT_PULL_SECONDS = 90.0  # an engine says something whenever a layer moves
LOG_EVERY = 5.0
MAX_TEXT = 300
BEGUN = {"Pulling fs layer", "Already exists"}  # the first line about a layer
DONE = {"Pull complete", "Already exists"}


class Engine:
    """Calls one host's engine. `keys` are the provider's certificate and key, and the authority of its hosts."""

    def __init__(self, host: Host, keys: Mapping[str, str]) -> None:
        self.host, self._keys = host, keys

    def read[Answer](self, call: str, request: Callable[[APIClient], Answer]) -> Answer:
        """Ask the engine something. Raises Unavailable, or Rejected with the status of a refusal."""
        return self._send(self._client, call, request, is_read=True)

    def write[Answer](self, call: str, request: Callable[[APIClient], Answer]) -> Answer:
        """Change something; Unknown where it may have happened: also after a 500, which says little."""
        return self._send(self._client, call, request, is_read=False)

    def find[Answer](self, call: str, request: Callable[[APIClient], Answer]) -> Answer | None:
        """Read one thing; None where the engine has none of that name."""
        try:
            return self.read(call, request)
        except outside.Rejected as error:
            if error.status == 404:
                return None
            raise

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """A call for which the library knows too few parameters. `path` has only names of our own."""

        def request(client: APIClient) -> None:
            url = f"{client.base_url}/v{client.api_version}{path}"
            with client.post(url, json=dict(body), timeout=SECONDS) as response:
                client._raise_for_status(response)

        self.write(path.rpartition("/")[2], request)

    def pull(self, image: str) -> None:
        """Download an image, as long as that takes. How far it is goes to the log and to `pulls`.

        Raises Unavailable, Rejected.
        """
        name, reference = parse_repository_tag(image)

        def request(client: APIClient) -> None:
            url = f"{client.base_url}/v{client.api_version}/images/create"
            options = {"params": {"fromImage": name, "tag": reference or "latest"}, "timeout": SILENT_PULL_SECONDS}
            with client.post(url, stream=True, **options) as response:
                client._raise_for_status(response)
                self._follow(image, response.iter_lines())

        self._send(self._client, f"pull {image}", request, is_read=True)  # repeated, it goes on where it was

    def _follow(self, image: str, lines: Any) -> None:
        """Read what the engine says until the pull ends. A failure is a line of a successful answer."""
        began = logged = time.monotonic()
        layers: dict[str, str] = {}
        for each in lines:
            said = json.loads(each) if each.strip() else {}
            if "error" in said:
                raise outside.Unavailable(f"{self.host.name} could not pull {image}: {line(said['error'], MAX_TEXT)}")
            layer, status = str(said.get("id", "")), str(said.get("status", ""))
            if layer in layers or status in BEGUN:  # other lines are about the image as a whole
                layers[layer] = status
            done = sum(status in DONE for status in layers.values())
            pulls.tell(done, len(layers))
            now = time.monotonic()
            if now - began > PULL_SECONDS:
                raise outside.Unavailable(f"{self.host.name}: the pull of {image} did not end in time")
            if now - logged > LOG_EVERY:
                logged = now
                log.info("%s pulls %s: %d of %d layers", self.host.name, image, done, len(layers))

    @cached_property
    def _client(self) -> APIClient:
        """The library's client, in a version that the engine speaks. Made at the first call."""
        parts = urlsplit(self.host.address)
        address, adapter = self.host.address, None
        if parts.scheme == "tcp" and any(self._keys.get(name) for name in ("authority", "certificate", "key")):
            address = f"https://{parts.netloc}{parts.path}"
            texts = {name: str(self._keys.get(name) or "") for name in ("authority", "certificate", "key")}
            try:
                adapter = outside.certificate_adapter(**texts)
            except ValueError as error:
                raise outside.Unavailable(f"docker {self.host.name}: {error}") from None
        elif parts.scheme == "tcp" and not _is_loopback(parts.hostname or ""):
            # Whoever reaches an engine is root of its host, so nothing is sent without a certificate.
            raise outside.Unavailable(f"docker {self.host.name}: no certificate is set")
        client = self._new_client(address, OLDEST_API, adapter)
        said = self._send(client, "version", lambda each: each.version(api_version=False), is_read=True)
        newest, oldest = str(said.get("ApiVersion")), str(said.get("MinAPIVersion") or OLDEST_API)
        if _numbers(newest) < _numbers(OLDEST_API):
            raise outside.Unavailable(f"docker {self.host.name}: the engine is too old, its API is {newest[:12]}")
        return self._new_client(address, max(min(newest, NEWEST_API, key=_numbers), oldest, key=_numbers), adapter)

    def _new_client(self, address: str, version: str, adapter: Any) -> APIClient:
        client = APIClient(address, version=version, timeout=SECONDS)  # with a version it makes no call yet
        client.trust_env = False  # no proxy and no authority from the environment
        if adapter is not None:
            client.mount("https://", adapter)
        return client

    def _send[Answer](
        self, client: APIClient, call: str, request: Callable[[APIClient], Answer], *, is_read: bool
    ) -> Answer:
        label = f"docker {self.host.name} {call}"
        try:
            with outside.library_call(label, self.host.address, is_read=is_read):
                return request(client)
        except APIError as error:
            raise _translated(label, error, is_read=is_read) from None
        except DockerException as error:
            raise outside.Unavailable(f"{label}: not sent, {type(error).__name__}") from None


def _translated(label: str, error: APIError, *, is_read: bool) -> outside.OutsideError:
    """What an error status means; the engine's own words are for staff."""
    status, text = error.status_code or 0, line(error.explanation, MAX_TEXT)
    details: dict[str, Any] = {"status": status, "body": {"message": text}}
    if status in {401, 403, 429, 503}:  # a proxy or an authorization plugin: the operator mends it
        return outside.Unavailable(f"{label}: {status} {text}", **details)
    if status < 500:
        return outside.Rejected(f"{label}: {text or status}", **details)
    return (outside.Unavailable if is_read else outside.Unknown)(f"{label}: {status} {text}", **details)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
