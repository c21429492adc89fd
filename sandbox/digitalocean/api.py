"""The calls below `/v2`: token, rate, body, work, envelope."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable
from urllib.parse import urlencode
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.digitalocean.account import TOKEN, Account, Refused, unprocessable
from sandbox.digitalocean.catalog import REGIONS, SIZES
from sandbox.digitalocean.requests import check_action, check_creation, require_tag
from sandbox.state import JsonObject

IDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "server_error",
    503: "service_unavailable",
}
PAGE_SIZE, MAX_PAGE_SIZE = 20, 200
HOUR, MINUTE = 3600, 60

type Work = Callable[[Request, JsonObject], Response]


class Api:
    """DigitalOcean's calls against one account."""

    def __init__(self, account: Account, base_url: str) -> None:
        self._account, self._base_url = account, base_url

    def routes(self) -> list[BaseRoute]:
        """Every call."""
        calls: list[tuple[str, str, Work]] = [
            ("POST", "/droplets", self.create),
            ("GET", "/droplets", self.list_droplets),
            ("DELETE", "/droplets", self.refuse_tag),
            ("POST", "/droplets/actions", self.refuse_tag),
            ("GET", "/droplets/{id:int}", self.get),
            ("DELETE", "/droplets/{id:int}", self.destroy),
            ("GET", "/droplets/{id:int}/actions", self.list_actions),
            ("POST", "/droplets/{id:int}/actions", self.act),
            ("POST", "/tags", self.create_tag),
            ("POST", "/tags/{name}/resources", self.change_tag),
            ("DELETE", "/tags/{name}/resources", self.change_tag),
            ("GET", "/regions", lambda request, _body: self._page(request, "regions", list(REGIONS.values()))),
            ("GET", "/sizes", lambda request, _body: self._page(request, "sizes", list(SIZES.values()))),
            ("POST", "/account/keys", self.create_key),
        ]
        return [Route(f"/v2{path}", self._serving(work), methods=[method]) for method, path, work in calls]

    async def refuse(self, _request: Request, status: int) -> Response:
        """An armed status fault."""
        return self._error(status, "Server Error" if status >= 500 else "API Rate limit exceeded.")

    def _serving(self, work: Work) -> Callable[[Request], object]:
        async def serve(request: Request) -> Response:
            headers = self._count()
            try:
                if request.headers.get("authorization") != f"Bearer {TOKEN}":
                    raise Refused(401, "Unable to authenticate you")
                if "retry-after" in headers or int(headers["ratelimit-remaining"]) < 0:
                    raise Refused(429, "API Rate limit exceeded.")
                answer = work(request, await _body(request))
            except Refused as error:
                answer = self._error(error.status, str(error))
            answer.headers.update(headers | {"ratelimit-remaining": str(max(0, int(headers["ratelimit-remaining"])))})
            return answer

        return serve

    def _count(self) -> dict[str, str]:
        """Count this call; each is forgotten an hour later. More than those of a minute are told when to come back."""
        account, now = self._account, self._account.clock.now()
        account.calls = [at for at in account.calls if now - HOUR < at <= now]
        recent = [at for at in account.calls if at > now - MINUTE]
        per_hour, per_minute = (int(account.settings[name]) for name in ("calls_per_hour", "calls_per_minute"))
        left = per_hour - len(account.calls) - 1
        headers = {"ratelimit-limit": str(per_hour)}
        if len(recent) >= per_minute:
            headers["retry-after"] = str(int(recent[0] + MINUTE - now) + 1)
            left = 0
        elif left >= 0:
            account.calls.append(now)
        oldest = account.calls[0] if account.calls else now
        return headers | {"ratelimit-remaining": str(left), "ratelimit-reset": str(int(oldest + HOUR))}

    def _error(self, status: int, message: str) -> Response:
        content = {"id": IDS.get(status, "server_error"), "message": message, "request_id": str(uuid4())}
        return JSONResponse(content, status_code=status)

    def create(self, _request: Request, body: JsonObject) -> Response:
        """Accepted, with the link to the action that makes it."""
        if "names" in body:
            raise unprocessable("Several droplets at once are not offered here.")
        check_creation(self._account, body)
        row = self._account.create(body)
        action = self._account.pending(row) or {}
        link = {"id": action["id"], "rel": "create", "href": f"{self._base_url}/v2/actions/{action['id']}"}
        shown = _shown(row) | {"tags": list(row["_tags"])}
        return JSONResponse({"droplet": shown, "links": {"actions": [link]}}, status_code=202)

    def list_droplets(self, request: Request, _body: JsonObject) -> Response:
        """All, or those with a tag, or with a name."""
        query, account = request.query_params, self._account
        if "tag_name" in query and "name" in query:
            raise unprocessable("tag_name and name cannot be combined.")
        then = account.clock.now() - account.settings["list_seconds"]
        rows = [_shown(row) | {"tags": _tags(row, then)} for row in account.listed()]
        if "tag_name" in query:
            rows = [row for row in rows if query["tag_name"] in row["tags"]]
        if "name" in query:
            rows = [row for row in rows if row["name"].lower() == query["name"].lower()]
        return self._page(request, "droplets", rows)

    def refuse_tag(self, request: Request, _body: JsonObject) -> Response:
        """What acts on everything with a tag is refused here, and remembered."""
        self._account.refused.append(f"{request.method} {request.url.path}?{request.url.query}")
        raise Refused(403, "The stand-in acts on no droplets by their tag.")

    def get(self, request: Request, _body: JsonObject) -> Response:
        """A droplet as it is now."""
        row = self._account.find(request.path_params["id"])
        return JSONResponse({"droplet": _shown(row) | {"tags": _tags(row, self._account.clock.now())}})

    def destroy(self, request: Request, _body: JsonObject) -> Response:
        """Gone at once; lists say so later."""
        self._account.destroy(self._account.find(request.path_params["id"]))
        return Response(status_code=204)

    def list_actions(self, request: Request, _body: JsonObject) -> Response:
        """The droplet's actions, the newest first."""
        row = self._account.find(request.path_params["id"])
        own = [_shown(each) for each in reversed(self._account.actions) if each["resource_id"] == row["id"]]
        return self._page(request, "actions", own)

    def act(self, request: Request, body: JsonObject) -> Response:
        """Begin an action."""
        row = self._account.find(request.path_params["id"])
        check_action(self._account, row, body)
        action = self._account.begin(row, body, self._account.settings["action_seconds"])
        return JSONResponse({"action": _shown(action)}, status_code=201)

    def create_tag(self, _request: Request, body: JsonObject) -> Response:
        """A tag; one that is there stays as it is."""
        require_tag(body.get("name"))
        if body["name"] not in self._account.tags:
            self._account.tags.append(body["name"])
        resources = {"count": 0, "last_tagged_uri": "", "droplets": {"count": 0}}
        return JSONResponse({"tag": {"name": body["name"], "resources": resources}}, status_code=201)

    def change_tag(self, request: Request, body: JsonObject) -> Response:
        """Put a tag on droplets, or take it off."""
        tag, now = request.path_params["name"], self._account.clock.now()
        if tag not in self._account.tags:
            raise Refused(404, "The resource you were accessing could not be found.")
        for each in body.get("resources") or []:
            if each.get("resource_type") != "droplet" or not isinstance(each.get("resource_id"), str):
                raise unprocessable("A resource has a resource_id, which is text, and a resource_type.")
            tags = self._account.find(each["resource_id"])["_tags"]
            if request.method == "POST":
                tags[tag] = min(tags.get(tag, now), now)
            else:
                tags.pop(tag, None)
        return Response(status_code=204)

    def create_key(self, _request: Request, body: JsonObject) -> Response:
        """A public key of the account; the same again is refused."""
        try:
            blob = b64decode(str(body.get("public_key")).split()[1], validate=True)
        except (IndexError, ValueError):
            raise unprocessable("Key invalid, key should be of the format `ssh-rsa ...`.") from None
        fingerprint = hashlib.md5(blob, usedforsecurity=False).digest().hex(":")
        if any(each["fingerprint"] == fingerprint for each in self._account.keys):
            raise unprocessable("SSH Key is already in use on your account")
        key = {"id": self._account.number(), "fingerprint": fingerprint}
        key |= {"name": body.get("name"), "public_key": body["public_key"]}
        self._account.keys.append(key)
        return JSONResponse({"ssh_key": key}, status_code=201)

    def _page(self, request: Request, member: str, rows: list[JsonObject]) -> Response:
        """A page of a list, with only those links that lead anywhere."""
        try:
            page = int(request.query_params.get("page", 1))
            per_page = int(request.query_params.get("per_page", PAGE_SIZE))
        except ValueError:
            raise Refused(400, "page and per_page are numbers.") from None
        if page < 1 or not 1 <= per_page <= MAX_PAGE_SIZE:
            raise Refused(400, f"page begins with 1, per_page is 1 to {MAX_PAGE_SIZE}.")
        last = max(1, -(-len(rows) // per_page))
        targets = {"first": 1, "prev": page - 1} if page > 1 else {}
        targets |= {"next": page + 1, "last": last} if page < last else {}
        others = {name: value for name, value in request.query_params.items() if name not in ("page", "per_page")}

        def link(number: int) -> str:
            query = urlencode(others | {"page": number, "per_page": per_page})
            return f"{self._base_url}{request.url.path.removeprefix(request.scope.get('root_path', ''))}?{query}"

        links = {"pages": {name: link(number) for name, number in targets.items()}} if targets else {}
        shown = rows[(page - 1) * per_page : page * per_page]
        return JSONResponse({member: shown, "links": links, "meta": {"total": len(rows)}})


def _shown(row: JsonObject) -> JsonObject:
    return {name: value for name, value in row.items() if not name.startswith("_")}


def _tags(row: JsonObject, at: float) -> list[str]:
    return [tag for tag, since in row["_tags"].items() if since <= at]


async def _body(request: Request) -> JsonObject:
    """The JSON object that was sent. Raises Refused."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "The body is not a JSON object.")
    return body
