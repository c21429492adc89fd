"""The variables of an egg by which the shop signs its servers in. They hold secrets, and no page shows them."""

from uuid import UUID

from django.db.models import QuerySet

from servers.models import EggVariable, Server

SESSION, IDENTITY = "HYTALE_SERVER_SESSION_TOKEN", "HYTALE_SERVER_IDENTITY_TOKEN"
VARIABLES = frozenset({SESSION, IDENTITY})


def needs_session(server: Server) -> bool:
    """Whether the server's egg takes the tokens of a game session, and hides them from customers."""
    rows = token_variables(server.blueprint.egg_id)
    return rows.filter(is_user_viewable=False, is_user_editable=False).count() == len(VARIABLES)


def token_variables(egg_id: UUID | None) -> QuerySet[EggVariable]:
    """Those of the egg."""
    return EggVariable.objects.filter(egg=egg_id, env_variable__in=VARIABLES, is_present=True)
