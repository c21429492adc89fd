"""The account behind the key: its keys, address and password."""

from starlette.responses import Response

from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.checks import is_ip
from sandbox.pterodactyl.client import shapes
from sandbox.pterodactyl.collation import unique
from sandbox.pterodactyl.errors import Complaint, Invalid, missing, refusal
from sandbox.pterodactyl.keys import new_key
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
MOST_KEYS = 25


@routes.add("GET", "/account")
async def show(call: Call) -> Response:
    """The account."""
    return reply(shapes.account(call.user))


@routes.add("PUT", "/account/email")
async def change_email(call: Call) -> Response:
    """Change the address."""
    taken = unique(call.panel.store.users, lambda user: user.email, but=call.user)
    validate(call.fields, {"email": ["required", "email", "between:1,191", taken], "password": "required|string"})
    check_password(call, "password")
    call.user.email = call.fields["email"]
    return no_content()


@routes.add("PUT", "/account/password")
async def change_password(call: Call) -> Response:
    """Change the password."""
    validate(call.fields, {"current_password": "required|string", "password": "required|string|min:8"})
    check_password(call, "current_password")
    call.user.password = call.fields["password"]
    return no_content()


def check_password(call: Call, field: str) -> None:
    """Raise a 400 for a wrong password."""
    if call.fields[field] != call.user.password:
        raise refusal("InvalidPasswordProvidedException", "The password provided was invalid for this account.")


@routes.add("GET", "/account/api-keys")
async def api_keys(call: Call) -> Response:
    """The account's own keys, without their secrets."""
    keys = call.panel.store.keys.where(user_id=call.user.id)
    return reply(shapes.listed([shapes.api_key(key) for key in keys if not key.is_application]))


@routes.add("POST", "/account/api-keys")
async def create_api_key(call: Call) -> Response:
    """Make a key; the secret part is shown this once."""
    validate(call.fields, {"description": "required|string|min:1|max:500", "allowed_ips": "array"})
    addresses = call.fields.get("allowed_ips") or []
    wrong = [index for index, address in enumerate(addresses) if not is_ip(address)]
    if wrong:
        raise Invalid([Complaint(field=f"allowed_ips.{index}", rule="") for index in wrong])
    keys = call.panel.store.keys
    if len([key for key in keys.where(user_id=call.user.id) if not key.is_application]) >= MOST_KEYS:
        raise refusal("DisplayException", "You have reached the account limit for number of API keys.")
    key = keys.add(new_key(call.user, "ptlc_", description=call.fields["description"], allowed_ips=addresses))
    return reply({**shapes.api_key(key), "meta": {"secret_token": key.secret}})


@routes.add("DELETE", "/account/api-keys/{identifier}")
async def remove_api_key(call: Call) -> Response:
    """Revoke a key."""
    found = call.panel.store.keys.where(user_id=call.user.id, identifier=call.params["identifier"])
    if not found or found[0].is_application:
        raise missing()
    call.panel.store.keys.remove(found[0])
    return no_content()
