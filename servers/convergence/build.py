"""What a server is built from: its blueprint's egg and image, and an environment that the panel will accept."""

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import GameBuild, MachineBuild, VariablesRefused
from servers.eggs import environment
from servers.models import EggVariable, Server, ServerVariable

SECRET = "{{secret}}"  # noqa: S105 - the word that stands for one
SECRET_LENGTH = 24


def machine_build(server: Server) -> MachineBuild | None:
    """The provider's plan and image of a machine; None for a game."""
    blueprint = server.blueprint
    return MachineBuild(plan_ref=blueprint.plan_ref, image=blueprint.image) if blueprint.plan_ref else None


def game_build(server: Server) -> GameBuild:
    """A game's build. Raises Rejected where something is missing, VariablesRefused where a value is not valid."""
    blueprint = server.blueprint
    egg = blueprint.egg
    if egg is None or not egg.is_present:
        raise outside.Rejected(
            _("The blueprint {name} has no egg that the panel knows, and no plan of its provider.").format(
                name=blueprint.name
            )
        )
    image, startup = blueprint.image or egg.default_image, blueprint.startup or egg.startup
    if not image or not startup.strip():
        reason = _("The egg {egg} has no image or no start-up command, and the blueprint {name} gives none.")
        raise outside.Rejected(reason.format(egg=egg.name, name=blueprint.name))
    merged = environment_of(server)
    if merged.problems:
        listed = " ".join(f"{problem.env_variable}: {problem.message}" for problem in merged.problems)
        # A variable that the egg does not have cannot be given another value; its blueprint has to drop it.
        known = [problem for problem in merged.problems if problem.rule != environment.UNKNOWN_VARIABLE]
        raise VariablesRefused(
            _("The game's settings are not valid. {problems}").format(problems=listed),
            {problem.env_variable: str(problem.message) for problem in known},
        )
    return GameBuild(egg_ref=egg.ref, image=image, startup=startup, environment=merged.values)


def environment_of(server: Server) -> environment.Environment:
    """The values of the egg's variables, and what is wrong with them."""
    overrides = {}
    for name, value in (server.blueprint.environment or {}).items():
        if value == SECRET:  # a password of this server's own, the same at every attempt
            secret = salted_hmac("servers.environment", f"{server.pk}:{name}", algorithm="sha256").hexdigest()
            overrides[name] = secret[:SECRET_LENGTH]
        elif isinstance(value, bool):
            overrides[name] = "1" if value else "0"
        else:
            overrides[name] = "" if value is None else str(value)
    chosen: dict[str, str] = {}
    for variable in ServerVariable.objects.filter(server=server):
        values = overrides if variable.is_set_by_staff else chosen
        values[variable.env_variable] = variable.value
    variables = EggVariable.objects.filter(egg=server.blueprint.egg, is_present=True).order_by("position")
    return environment.merge(variables, overrides, chosen)
