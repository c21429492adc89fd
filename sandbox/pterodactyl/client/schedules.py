"""Schedules with their tasks; they run on ``execute``, and not by their cron line."""

import functools
import re
from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import daemon, power
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.checks import is_true
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import not_found, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Schedule, Server
from sandbox.pterodactyl.transformers import item, plain_list
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
MAX_TASKS = 10
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


def find_schedule(call: Call, server: Server) -> Schedule:
    """The schedule of the path. Raises a 404."""
    found = call.panel.store.schedules.get_or_404(call.row_id("schedule"))
    if found.server_id != server.id:
        raise not_found()
    return found


def fill(schedule: Schedule, fields: dict[str, Any]) -> None:
    """Check and write a schedule's fields. Raises a 422, and a 400 for a cron line that cannot be read."""
    validate(fields, RULES)
    for name, (low, high) in CRON_PARTS.items():
        for piece in fields[name].split(","):
            numbers = [int(each) for each in re.findall(r"\d+", piece.partition("/")[0])]
            if CRON_PIECE.match(piece) is None or any(not low <= number <= high for number in numbers):
                raise refusal("DisplayException", "The cron data provided does not evaluate to a valid expression.")
    schedule.name = fields["name"]
    schedule.cron = {name: fields[name] for name in CRON_PARTS}
    schedule.is_active = is_true(fields.get("is_active", True))
    schedule.is_only_when_online = is_true(fields.get("only_when_online"))


@routes.add("GET", "/servers/{server}/schedules")
async def index(call: Call) -> Response:
    """A server's schedules, without pages."""
    server = access.usable_server(call)
    found = call.panel.store.schedules.where(server_id=server.id)
    return JSONResponse(plain_list(transformers.schedule(each) for each in found))


@routes.add("POST", "/servers/{server}/schedules")
async def create(call: Call) -> Response:
    """Make a schedule."""
    server = access.usable_server(call)
    schedule = Schedule(server_id=server.id, name="", cron={})
    fill(schedule, call.fields)
    call.panel.store.schedules.add(schedule)
    return JSONResponse(transformers.schedule(schedule))


@routes.add("GET", "/servers/{server}/schedules/{schedule}")
async def show(call: Call) -> Response:
    """One schedule."""
    return JSONResponse(transformers.schedule(find_schedule(call, access.usable_server(call))))


@routes.add("POST", "/servers/{server}/schedules/{schedule}")
async def update(call: Call) -> Response:
    """Change a schedule."""
    schedule = find_schedule(call, access.usable_server(call))
    fill(schedule, call.fields)
    call.panel.store.schedules.touch(schedule)
    return JSONResponse(transformers.schedule(schedule))


@routes.add("DELETE", "/servers/{server}/schedules/{schedule}")
async def remove(call: Call) -> Response:
    """Delete a schedule."""
    call.panel.store.schedules.remove(find_schedule(call, access.usable_server(call)))
    return no_content()


@routes.add("POST", "/servers/{server}/schedules/{schedule}/execute")
async def execute(call: Call) -> Response:
    """Run a schedule's power and command tasks now, without their offsets."""
    server = access.usable_server(call)
    schedule = find_schedule(call, server)

    def run(task: dict[str, Any]) -> None:
        if task["action"] == "power":
            power.send_signal(call.panel, server, task["payload"])
        elif task["action"] == "command" and server.runtime.state != "offline":
            power.run_command(call.panel, server, task["payload"])

    for task in schedule.tasks:
        await daemon.call_for(call.panel, server, functools.partial(run, task))
    schedule.last_run_at = call.panel.now()
    return no_content(202)


@routes.add("POST", "/servers/{server}/schedules/{schedule}/tasks")
async def create_task(call: Call) -> Response:
    """Add a task at the end of a schedule."""
    schedule = find_schedule(call, access.usable_server(call))
    payload = "nullable|string" if call.fields.get("action") == "backup" else "required|string"
    validate(call.fields, {**TASK_RULES, "payload": payload})
    if len(schedule.tasks) >= MAX_TASKS:
        raise refusal("ServiceLimitExceededException", "Schedules may not have more than 10 tasks.")
    task = {
        "id": max((each["id"] for each in schedule.tasks), default=schedule.id * 100) + 1,
        "sequence_id": len(schedule.tasks) + 1,
        "action": call.fields["action"],
        "payload": call.fields.get("payload") or "",
        "time_offset": int(call.fields["time_offset"]),
        "is_queued": False,
        "continue_on_failure": is_true(call.fields.get("continue_on_failure")),
    }
    schedule.tasks.append(task)
    return JSONResponse(item("schedule_task", task))


@routes.add("DELETE", "/servers/{server}/schedules/{schedule}/tasks/{task}")
async def remove_task(call: Call) -> Response:
    """Delete a task of a schedule."""
    schedule = find_schedule(call, access.usable_server(call))
    kept = [task for task in schedule.tasks if task["id"] != call.row_id("task")]
    if len(kept) == len(schedule.tasks):
        raise not_found()
    schedule.tasks = kept
    return no_content()
