"""Schedules with their tasks; the stand-in runs them when told to, not by the cron line."""

import re
from typing import Any

from starlette.responses import Response

from sandbox.pterodactyl import daemon, power
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.errors import missing, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Schedule, Server
from sandbox.pterodactyl.validation import RuleLine, validate

routes = Routes("client")
CRON_PARTS = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day_of_month": (1, 31),
    "month": (1, 12),
    "day_of_week": (0, 7),
}
CRON_PIECE = re.compile(r"(\*|\d+(-\d+)?)(/\d+)?\Z")
MOST_TASKS = 10
RULES: dict[str, RuleLine] = {
    "name": "required|string|min:1|max:191",
    **dict.fromkeys(CRON_PARTS, "required|string"),
    "is_active": "boolean",
    "only_when_online": "boolean",
}
TASK_RULES: dict[str, RuleLine] = {
    "action": "required|in:command,power,backup",
    "time_offset": "required|numeric|between:0,900",
    "continue_on_failure": "boolean",
}


def named(call: Call, server: Server) -> Schedule:
    """The schedule of the path. Raises a 404."""
    found = call.panel.store.schedules.must(call.row_id("schedule"))
    if found.server_id != server.id:
        raise missing()
    return found


def check_cron(fields: dict[str, Any]) -> dict[str, str]:
    """The five parts of a cron line. Raises a 400 for one that cannot be read."""
    for name, (low, high) in CRON_PARTS.items():
        for piece in fields[name].split(","):
            numbers = [int(each) for each in re.findall(r"\d+", piece.partition("/")[0])]
            if CRON_PIECE.match(piece) is None or any(not low <= number <= high for number in numbers):
                raise refusal("DisplayException", "The cron data provided does not evaluate to a valid expression.")
    return {name: fields[name] for name in CRON_PARTS}


def take(schedule: Schedule, fields: dict[str, Any]) -> None:
    """Take over a schedule's fields."""
    schedule.name = fields["name"]
    schedule.cron = check_cron(fields)
    schedule.is_active = fields.get("is_active", True) in (True, 1, "1")
    schedule.is_only_when_online = fields.get("only_when_online", False) in (True, 1, "1")


@routes.add("GET", "/servers/{server}/schedules")
async def index(call: Call) -> Response:
    """A server's schedules, all at once."""
    server = access.server_for(call, "schedule.read")
    found = call.panel.store.schedules.where(server_id=server.id)
    return reply(shapes.listed([shapes.schedule(each) for each in found]))


@routes.add("POST", "/servers/{server}/schedules")
async def create(call: Call) -> Response:
    """Make a schedule."""
    server = access.server_for(call, "schedule.create")
    validate(call.fields, RULES)
    schedule = Schedule(server_id=server.id, name="", cron={})
    take(schedule, call.fields)
    call.panel.store.schedules.add(schedule)
    return reply(shapes.schedule(schedule))


@routes.add("GET", "/servers/{server}/schedules/{schedule}")
async def show(call: Call) -> Response:
    """One schedule."""
    return reply(shapes.schedule(named(call, access.server_for(call, "schedule.read"))))


@routes.add("POST", "/servers/{server}/schedules/{schedule}")
async def update(call: Call) -> Response:
    """Change a schedule."""
    schedule = named(call, access.server_for(call, "schedule.update"))
    validate(call.fields, RULES)
    take(schedule, call.fields)
    call.panel.store.schedules.touch(schedule)
    return reply(shapes.schedule(schedule))


@routes.add("DELETE", "/servers/{server}/schedules/{schedule}")
async def remove(call: Call) -> Response:
    """Delete a schedule."""
    call.panel.store.schedules.remove(named(call, access.server_for(call, "schedule.delete")))
    return no_content()


@routes.add("POST", "/servers/{server}/schedules/{schedule}/execute")
async def execute(call: Call) -> Response:
    """Run a schedule's power and command tasks now, without their offsets."""
    server = access.server_for(call, "schedule.update")
    schedule = named(call, server)
    for task in schedule.tasks:
        await daemon.ask_about(call.panel, server, lambda task=task: run(call, server, task))  # type: ignore[misc]
    schedule.last_run_at = call.panel.now()
    return no_content(202)


def run(call: Call, server: Server, task: dict[str, Any]) -> None:
    """Do one task."""
    if task["action"] == "power":
        power.send_signal(call.panel, server, task["payload"])
    elif task["action"] == "command" and server.runtime.state != "offline":
        power.run_command(call.panel, server, task["payload"])


@routes.add("POST", "/servers/{server}/schedules/{schedule}/tasks")
async def create_task(call: Call) -> Response:
    """Add a task at the end of a schedule."""
    schedule = named(call, access.server_for(call, "schedule.update"))
    is_backup = call.fields.get("action") == "backup"
    payload = "nullable|string" if is_backup else "required|string"
    validate(call.fields, {**TASK_RULES, "payload": payload})
    if len(schedule.tasks) >= MOST_TASKS:
        raise refusal("ServiceLimitExceededException", "Schedules may not have more than 10 tasks.")
    task = {
        "id": max((each["id"] for each in schedule.tasks), default=schedule.id * 100) + 1,
        "sequence_id": len(schedule.tasks) + 1,
        "action": call.fields["action"],
        "payload": call.fields.get("payload") or "",
        "time_offset": int(call.fields["time_offset"]),
        "is_queued": False,
        "continue_on_failure": call.fields.get("continue_on_failure", False) in (True, 1, "1"),
    }
    schedule.tasks.append(task)
    return reply(shapes.shown("schedule_task", task))


@routes.add("DELETE", "/servers/{server}/schedules/{schedule}/tasks/{task}")
async def remove_task(call: Call) -> Response:
    """Take a task out of a schedule."""
    schedule = named(call, access.server_for(call, "schedule.update"))
    kept = [task for task in schedule.tasks if task["id"] != call.row_id("task")]
    if len(kept) == len(schedule.tasks):
        raise missing()
    schedule.tasks = kept
    return no_content()
