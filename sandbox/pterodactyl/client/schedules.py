"""Schedules: cron fields and tasks. What is due by the clock is not run; `execute` runs the tasks at once."""

from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import daemon, power
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.checks import is_true
from sandbox.pterodactyl.client import access
from sandbox.pterodactyl.errors import not_found, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Schedule, Server
from sandbox.pterodactyl.transformers import Json, item, plain_list, timestamp
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
CRON = {"minute": 59, "hour": 23, "day_of_month": 31, "month": 12, "day_of_week": 7}
MAX_TASKS = 10


def transform(row: Schedule) -> Json:
    """A schedule with its tasks."""
    attributes = {
        "id": row.id,
        "name": row.name,
        "cron": row.cron,
        "is_active": row.is_active,
        "is_processing": False,
        "only_when_online": row.is_only_when_online,
        "last_run_at": timestamp(row.last_run_at),
        "next_run_at": None,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
        "relationships": {"tasks": plain_list(item("schedule_task", each) for each in row.tasks)},
    }
    return item("server_schedule", attributes)


def find_schedule(call: Call, server: Server) -> Schedule:
    """The schedule of the path, if it is the server's. Raises a 404."""
    schedule = call.panel.store.schedules.get(call.params["schedule"])
    if schedule is None or schedule.server_id != server.id:
        raise not_found()
    return schedule


def is_cron(text: str, highest: int) -> bool:
    """Whether this is one field of a cron line, such as ``*/5`` or ``1-5,7``."""
    for part in text.split(","):
        span, _slash, step = part.partition("/")
        numbers = [] if span == "*" else span.split("-")
        if (step and not step.isdecimal()) or len(numbers) > 2:
            return False
        if not all(each.isdecimal() and int(each) <= highest for each in numbers):
            return False
    return True


def fields_of(call: Call) -> dict[str, Any]:
    """What a schedule is made or changed with. Raises a 400 for a bad cron field."""
    required = dict.fromkeys(CRON, "required|string")
    validate(call.fields, {"name": "required|string|max:191", "is_active": "boolean", **required})
    if not all(is_cron(call.fields[name], highest) for name, highest in CRON.items()):
        raise refusal("DisplayException", "The cron data provided does not evaluate to a valid expression.")
    return {
        "name": call.fields["name"],
        "cron": {name: call.fields[name] for name in CRON},
        "is_active": is_true(call.fields.get("is_active")),
        "is_only_when_online": is_true(call.fields.get("only_when_online")),
    }


@routes.add("GET", "/servers/{server}/schedules")
async def index(call: Call) -> Response:
    """A server's schedules, without pages."""
    found = call.panel.store.schedules.where(server_id=access.usable_server(call).id)
    return JSONResponse(plain_list(transform(each) for each in found))


@routes.add("POST", "/servers/{server}/schedules")
async def create(call: Call) -> Response:
    """Make a schedule without tasks; another of the same name is fine."""
    server = access.usable_server(call)
    schedule = call.panel.store.schedules.add(Schedule(server_id=server.id, **fields_of(call)))
    return JSONResponse(transform(schedule))


@routes.add("GET", "/servers/{server}/schedules/{schedule}")
async def show(call: Call) -> Response:
    """One schedule."""
    return JSONResponse(transform(find_schedule(call, access.usable_server(call))))


@routes.add("POST", "/servers/{server}/schedules/{schedule}")
async def update(call: Call) -> Response:
    """Replace all fields of a schedule."""
    schedule = find_schedule(call, access.usable_server(call))
    for name, value in fields_of(call).items():
        setattr(schedule, name, value)
    call.panel.store.schedules.touch(schedule)
    return JSONResponse(transform(schedule))


@routes.add("DELETE", "/servers/{server}/schedules/{schedule}")
async def remove(call: Call) -> Response:
    """Delete a schedule with its tasks."""
    call.panel.store.schedules.remove(find_schedule(call, access.usable_server(call)))
    return no_content()


@routes.add("POST", "/servers/{server}/schedules/{schedule}/tasks")
async def add_task(call: Call) -> Response:
    """Add a task behind those that are there."""
    schedule = find_schedule(call, access.usable_server(call))
    rules = {
        "action": "required|in:command,power,backup",
        "payload": "nullable|string" if call.fields.get("action") == "backup" else "required|string",
        "time_offset": "required|numeric|between:0,900",
    }
    validate(call.fields, rules)
    if len(schedule.tasks) >= MAX_TASKS:
        raise refusal("ServiceLimitExceededException", "Schedules may not have more than 10 tasks.")
    sequence = len(schedule.tasks) + 1
    task = {
        "id": schedule.id * 100 + sequence,
        "sequence_id": sequence,
        "action": call.fields["action"],
        "payload": call.fields.get("payload") or "",
        "time_offset": int(call.fields["time_offset"]),
        "is_queued": False,
        "continue_on_failure": is_true(call.fields.get("continue_on_failure")),
    }
    schedule.tasks.append(task)
    return JSONResponse(item("schedule_task", task))


@routes.add("POST", "/servers/{server}/schedules/{schedule}/execute")
async def execute(call: Call) -> Response:
    """Run the first task now; the panel's queue does the others later."""
    server, panel = access.usable_server(call), call.panel
    schedule = find_schedule(call, server)
    if not schedule.tasks:
        raise refusal("DisplayException", "Cannot process schedule for task execution: no tasks are registered.")
    schedule.last_run_at = panel.now()
    task = schedule.tasks[0]
    if task["action"] == "power":
        await daemon.call_for(panel, server, lambda: power.send_signal(panel, server, task["payload"]))
    return no_content(202)
