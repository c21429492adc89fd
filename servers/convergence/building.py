"""What a server is built from: its blueprint's egg and image, and an environment the panel will accept."""

from typing import Any

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import Build
from servers.eggs import environment
from servers.models import Egg, EggVariable, Server, ServerVariable

SECRET = "{{secret}}"  # noqa: S105 - the word that stands for one
SECRET_LENGTH = 24


def build_of(server: Server) -> Build:
    """The server's build. Raises Rejected, naming the variable or the gap, where the panel would refuse it."""
    blueprint = server.blueprint
    egg = blueprint.egg
    if egg is None or not egg.is_present:
        raise outside.Rejected(_("The blueprint {name} has no egg that the panel knows.").format(name=blueprint.name))
    image, startup = blueprint.image or egg.default_image, blueprint.startup or egg.startup
    if not image or not startup.strip():
        reason = _("The egg {egg} has no image or no start-up command, and the blueprint {name} gives none.")
        raise outside.Rejected(reason.format(egg=egg.name, name=blueprint.name))
    return Build(egg_ref=egg.ref, image=image, startup=startup, environment=_environment(server, egg))


def _environment(server: Server, egg: Egg) -> dict[str, str]:
    blueprint = server.blueprint
    variables = EggVariable.objects.filter(egg=egg, is_present=True).order_by("position")
    overrides = {name: _override(server, name, value) for name, value in (blueprint.environment or {}).items()}
    chosen = dict(ServerVariable.objects.filter(server=server).values_list("env_variable", "value"))
    merged = environment.merge(variables, overrides, chosen)
    if merged.is_acceptable:
        return merged.values
    problems = [problem for problem in merged.problems if not problem.is_unchecked]
    listed = " ".join(f"{problem.env_variable}: {problem.message}" for problem in problems)
    raise outside.Rejected(_("The game's settings are not acceptable. {problems}").format(problems=listed))


def _override(server: Server, name: str, value: Any) -> str:
    """The blueprint's value; `{{secret}}` is a password of this server's own, the same at every look."""
    if value == SECRET:
        return salted_hmac("servers.environment", f"{server.pk}:{name}", algorithm="sha256").hexdigest()[:SECRET_LENGTH]
    return as_text(value)


def as_text(value: Any) -> str:
    """A blueprint's JSON value as the panel wants it: text, with 1 and 0 for yes and no."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)
