"""Locations."""

from starlette.responses import Response

from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.collation import unique
from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.listing import Filters, includes, narrowed, ordered, page_of
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Location
from sandbox.pterodactyl.validation import RuleLine, validate

routes = Routes("application", "locations")
FILTERS: Filters[Location] = Filters(
    partial={"short": lambda place: place.short, "long": lambda place: place.long},
    sorts={"id": lambda place: place.id},
)


@routes.add("GET", "/locations")
async def index(call: Call) -> Response:
    """Every location, page by page."""
    found = ordered(call, narrowed(call, call.panel.store.locations, FILTERS), FILTERS)
    tree = includes(call)
    return reply(page_of(call, found, lambda place: item(call, place, tree)))


@routes.add("GET", "/locations/{id}")
async def show(call: Call) -> Response:
    """One location."""
    return reply(item(call, call.panel.store.locations.must(call.row_id()), includes(call)))


@routes.add("POST", "/locations")
async def create(call: Call) -> Response:
    """Make a location."""
    validate(call.fields, rules(call))
    place = call.panel.store.locations.add(Location(short=call.fields["short"], long=call.fields.get("long")))
    answer = item(call, place, includes(call))
    answer["meta"] = {"resource": f"{call.panel.url}/api/application/locations/{place.id}"}
    return reply(answer, 201)


@routes.add("PATCH", "/locations/{id}")
async def update(call: Call) -> Response:
    """Change a location; a description that is not sent stays."""
    place = call.panel.store.locations.must(call.row_id())
    validate(call.fields, rules(call, place))
    place.short = call.fields["short"]
    place.long = call.fields.get("long", place.long)
    call.panel.store.locations.touch(place)
    return reply(item(call, place, includes(call)))


@routes.add("DELETE", "/locations/{id}")
async def remove(call: Call) -> Response:
    """Delete a location without nodes."""
    place = call.panel.store.locations.must(call.row_id())
    if call.panel.store.nodes.where(location_id=place.id):
        raise refusal("HasActiveNodesException", "The location has nodes linked to it.")
    call.panel.store.locations.remove(place)
    return no_content()


def rules(call: Call, own: Location | None = None) -> dict[str, RuleLine]:
    """The rules for a location's fields."""
    is_short_unique = unique(call.panel.store.locations, lambda place: place.short, but=own)
    return {
        "short": ["required", "string", "between:1,60", is_short_unique],
        "long": "string|nullable|between:1,191",
    }
