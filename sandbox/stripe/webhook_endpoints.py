"""Webhook endpoints: where events go, and the secret each is signed with."""

import secrets
from fnmatch import fnmatchcase

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import API_VERSION, Account, merge_metadata, new_id
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, remove, write
from sandbox.stripe.schema import Clearable, Flag, Many, Metadata, Spec, Text, Url

FIELDS: dict[str, Spec] = {
    "url": Url(),
    "enabled_events": Many(Text(), most=300),
    "description": Clearable(Text()),
    "metadata": Metadata(),
}


def register(account: Account, url: str, secret: str, enabled_events: list[str] | None = None) -> JsonObject:
    """Add an endpoint with a secret of the caller's choosing; the object comes without it."""
    endpoint = account.add(
        {
            "id": new_id("we_"),
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": None,
            "created": account.now(),
            "description": None,
            "enabled_events": enabled_events or ["*"],
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
        }
    )
    account.note(endpoint["id"])["secret"] = secret
    return endpoint


def secret_of(account: Account, endpoint: JsonObject) -> str:
    """The signing secret, with its `whsec_` prefix."""
    return str(account.note(endpoint["id"])["secret"])


def listeners(account: Account, kind: str) -> list[JsonObject]:
    """The enabled endpoints that want events of this type, oldest first."""
    return [
        endpoint
        for endpoint in account.tables.get("webhook_endpoint", {}).values()
        if endpoint["status"] == "enabled" and any(fnmatchcase(kind, wanted) for wanted in endpoint["enabled_events"])
    ]


def create(call: Call) -> JsonObject:
    """Register an endpoint; only this answer shows the secret."""
    asked = call.params.get("api_version", API_VERSION)
    if asked != API_VERSION:
        raise errors.invalid(f"Invalid API version: this stand-in speaks {API_VERSION}.", param="api_version")
    secret = "whsec_" + secrets.token_urlsafe(24)
    endpoint = register(call.account, call.params["url"], secret, call.params["enabled_events"])
    endpoint["description"] = call.params.get("description")
    endpoint["metadata"] = call.params.get("metadata", {})
    return {**endpoint, "secret": secret}


def update(call: Call) -> JsonObject:
    """Change address, events or status."""
    endpoint = call.account.find("webhook_endpoint", call.path["id"])
    for name in ("url", "enabled_events", "description"):
        if name in call.params:
            endpoint[name] = call.params[name]
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    merge_metadata(endpoint, call.params.get("metadata"))
    return endpoint


def delete(call: Call) -> JsonObject:
    """Remove an endpoint."""
    endpoint = call.account.find("webhook_endpoint", call.path["id"])
    del call.account.tables["webhook_endpoint"][endpoint["id"]]
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


ENDPOINTS: list[Endpoint] = [
    write(
        "/v1/webhook_endpoints", create, {**FIELDS, "api_version": Text(), "connect": Flag()}, "url", "enabled_events"
    ),
    read("/v1/webhook_endpoints/{id}", reader("webhook_endpoint")),
    listing("/v1/webhook_endpoints", lister("webhook_endpoint")),
    write("/v1/webhook_endpoints/{id}", update, {**FIELDS, "disabled": Flag()}),
    remove("/v1/webhook_endpoints/{id}", delete),
]
