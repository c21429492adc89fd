"""Ways webhook delivery can be made to misbehave, armed per event type."""

from fnmatch import fnmatchcase
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe.account import Account

KINDS = (
    "duplicate",  # deliver `count` times, one after the other
    "concurrent",  # deliver `count` times at the same moment
    "reorder",  # hold events for `seconds`, then deliver them newest first
    "delay",  # wait `seconds` before the first try
    "drop",  # never deliver
    "bad_signature",  # sign with another secret; `tries` limits it to the first tries
    "old_timestamp",  # sign with a `t` that is `seconds` old; `tries` as above
    "twin",  # two events with different ids for one fact
    "before_answer",  # deliver before the API call that caused it is answered
)
DEFAULTS: JsonObject = {"types": ["*"], "times": 0, "count": 2, "seconds": None, "tries": 0}
SECONDS = {"reorder": 0.3, "delay": 1.0, "old_timestamp": 600.0}


class UnknownSwitch(ValueError):
    """The asked switch does not exist, or an option makes no sense."""


def arm(account: Account, options: JsonObject) -> JsonObject:
    """Arm one switch for the next `times` events (0: until cleared) whose type fits one of the `types` globs.

    Raises UnknownSwitch.
    """
    kind = options.get("kind")
    if kind not in KINDS:
        raise UnknownSwitch(f"kind must be one of {', '.join(KINDS)}")
    strange = set(options) - set(DEFAULTS) - {"kind"}
    if strange:
        raise UnknownSwitch(f"unknown option: {', '.join(sorted(strange))}")
    switch = DEFAULTS | options | {"hits": 0}
    if switch["seconds"] is None:
        switch["seconds"] = SECONDS.get(str(kind), 0.0)
    account.switches.append(switch)
    return switch


def plan_for(account: Account, event_type: str) -> dict[str, Any]:
    """The switches that apply to a new event, by kind; each use is counted."""
    plan: dict[str, Any] = {}
    for switch in account.switches:
        if switch["times"] and switch["hits"] >= switch["times"]:
            continue
        if switch["kind"] in plan or not any(fnmatchcase(event_type, glob) for glob in switch["types"]):
            continue
        switch["hits"] += 1
        plan[switch["kind"]] = {name: switch[name] for name in ("count", "seconds", "tries")}
    return plan
