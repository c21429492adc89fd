"""The objects as the API shows them."""

from sandbox.state import JsonObject
from sandbox.virtfusion.panel import IPV4_POOL, Panel, moment


def server(panel: Panel, row: JsonObject, *, is_live: bool = False) -> JsonObject:
    """A server; with `remoteState` only where it was asked for."""
    is_active = panel.is_building(row)
    hypervisor = next(each for each in panel.hypervisors if each["id"] == row["hypervisorId"])
    owner = next(each for each in panel.users if each["id"] == row["ownerId"])
    address = {"address": row["address"], "gateway": "198.51.100.254", "netmask": "255.255.255.0"}
    shown = {name: row[name] for name in ("id", "ownerId", "hypervisorId", "name", "uuid", "suspended", "built")}
    shown |= {
        "hostname": None,
        "state": "complete" if row["built"] else "queued",
        "commissionStatus": 3 if row["built"] and not is_active else 0,
        "buildFailed": row["buildFailed"],
        "protected": False,
        "settings": {"resources": row["resources"]},
        "network": {"interfaces": [{"mac": "00:16:3e:00:00:01", "ipv4": [address], "ipv6": _ipv6(row)}]},
        "owner": {"id": owner["id"], "extRelationId": owner["extRelationId"], "email": owner["email"]},
        "hypervisor": {"id": hypervisor["id"], "name": hypervisor["name"], "maintenance": False},
        "tasks": {"active": is_active, "lastOn": None, "actions": {"pending": []}},
        "created": moment(row["created_at"]),
        "updated": moment(row["created_at"]),
    }
    if is_live:
        total = row["resources"]["memory"] * 1024
        memory = {"actual": str(total), "unused": str(total // 2), "rss": str(total)}
        shown["remoteState"] = {"state": row["power"], "cpu": "2.5", "memory": memory}
    return shown


def _ipv6(row: JsonObject) -> list[JsonObject]:
    """The subnet comes only with the build."""
    return [{"subnet": f"2001:db8:{row['id']:x}::", "cidr": 64}] if row["built"] else []


def user(row: JsonObject) -> JsonObject:
    """A user, without what identifies it in the store as text."""
    return {name: row[name] for name in ("id", "admin", "extRelationId", "name", "email", "suspended", "created")}


def resources(panel: Panel, row: JsonObject) -> JsonObject:
    """What a hypervisor has, and what of it is free. The number of free addresses is that of the whole group."""
    servers = sum(each["hypervisorId"] == row["id"] for each in panel.servers)
    storage = _resource("GB", row["storage"], panel.allocated(row, "storage"))
    return {
        "hypervisor": {name: row[name] for name in ("id", "name", "enabled", "prohibit", "accept", "commissioned")},
        "resources": {
            "servers": _resource("#", 0, servers),
            "memory": _resource("MB", row["memory"], panel.allocated(row, "memory")),
            "cpuCores": _resource("#", row["cpuCores"], panel.allocated(row, "cpuCores")),
            "localStorage": {"enabled": 1, "name": "Local (Default mountpoint)", "storageType": 1, **storage},
            "otherStorage": row.get("otherStorage", []),
            "network": {"total": {"ipv4": {"free": IPV4_POOL - len(panel.servers)}}},
        },
    }


def _resource(units: str, maximum: int, allocated: int) -> JsonObject:
    free = maximum - allocated
    percent = round(100 * allocated / maximum, 1) if maximum else None
    return {"units": units, "max": maximum, "allocated": allocated, "free": free, "percent": percent}
