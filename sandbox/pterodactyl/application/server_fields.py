"""A server's request fields: their rules, for create, details, build and startup, and how they are read."""

from collections.abc import Mapping
from typing import Any

from sandbox.pterodactyl.collation import exists, unique
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.validation import Custom, RuleLine

IMAGE = r"regex:/^[\w.\/\-:@ ]*$/"
LIMITS = {
    "memory": "numeric|min:0",
    "swap": "numeric|min:-1",
    "disk": "numeric|min:0",
    "io": "numeric|between:10,1000",
    "cpu": "numeric|min:0",
}
THREADS = "nullable|regex:/^[0-9-,]+$/"
FEATURE_LIMITS = {
    "feature_limits": "required|array",
    "feature_limits.databases": "present|nullable|integer|min:0",
    "feature_limits.allocations": "sometimes|nullable|integer|min:0",
    "feature_limits.backups": "present|nullable|integer|min:0",
}


def naming(panel: Panel, own: Server | None = None) -> dict[str, RuleLine]:
    """The rules for external id, name, description and owner."""
    is_unused = unique(panel.store.servers, "external_id", but=own)
    return {
        "external_id": ["sometimes", "nullable", "string", "between:1,191", is_unused],
        "name": "required|string|min:1|max:191",
        "description": "sometimes|nullable|string",
        "user": ["required", "integer", exists(panel.store.users)],
    }


def free_allocation(panel: Panel) -> Custom:
    """The rule that an allocation exists and is not assigned."""

    def is_free(value: object) -> bool:
        allocation = panel.store.allocations.get(value)
        return allocation is not None and allocation.server_id is None

    return Custom("exists", is_free)


def creation(panel: Panel, *, is_deployed: bool) -> dict[str, RuleLine]:
    """The rules for a new server; with ``deploy`` the allocations that were sent are not checked."""
    rules: dict[str, RuleLine] = {
        **naming(panel),
        "egg": ["required", exists(panel.store.eggs)],
        "docker_image": f"required|string|max:191|{IMAGE}",
        "startup": "required|string",
        "environment": "present|array",
        "skip_scripts": "sometimes|boolean",
        "oom_disabled": "sometimes|boolean",
        "limits": "required|array",
        **{f"limits.{name}": f"required|{line}" for name, line in LIMITS.items()},
        "limits.threads": THREADS,
        **FEATURE_LIMITS,
        "start_on_completion": "sometimes|boolean",
        "deploy": "sometimes|required|array",
    }
    if is_deployed:
        return rules | {
            "deploy.locations": "present|array",
            "deploy.locations.*": "integer|min:1",
            "deploy.dedicated_ip": "required_with:deploy",
            "deploy.port_range": "present|array",
            "deploy.port_range.*": "string",
        }
    return rules | {
        "allocation.default": ["required", "integer", "bail", free_allocation(panel)],
        "allocation.additional.*": ["integer", free_allocation(panel)],
    }


def build(panel: Panel, server: Server) -> dict[str, RuleLine]:
    """The rules for new limits: inside ``limits``, or at top level without it."""
    others = [each for each in panel.store.servers if each is not server]
    is_not_primary_elsewhere = Custom(
        "unique", lambda value: not any(str(each.allocation_id) == str(value) for each in others)
    )
    return {
        "allocation": ["required", "bail", "integer", is_not_primary_elsewhere, exists(panel.store.allocations)],
        "oom_disabled": "sometimes|boolean",
        "limits": "sometimes|array",
        **{f"limits.{name}": f"required_with:limits|{line}" for name, line in LIMITS.items()},
        "limits.threads": THREADS,
        **{name: f"required_without:limits|{line}" for name, line in LIMITS.items()},
        "threads": THREADS,
        **FEATURE_LIMITS,
        "add_allocations": "array",
        "add_allocations.*": "integer",
        "remove_allocations": "array",
        "remove_allocations.*": "integer",
    }


def startup(panel: Panel) -> dict[str, RuleLine]:
    """The rules for a new startup."""
    return {
        "startup": "required|string",
        "environment": "present|array",
        "egg": ["required", exists(panel.store.eggs)],
        "image": f"required|string|max:191|{IMAGE}",
        "skip_scripts": "present|boolean",
    }


def read_limits(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The five numeric limits, under the names of the row."""
    return {name: int(float(fields[name])) for name in LIMITS}


def read_threads(fields: Mapping[str, Any]) -> str | None:
    """The threads that a server is pinned to."""
    return None if fields.get("threads") is None else str(fields["threads"])


def as_map(value: object) -> Mapping[str, Any]:
    """An object as it was sent; an empty list counts as an empty object."""
    return value if isinstance(value, Mapping) else {}
