"""What a server is built from, by its blueprint: a game's egg with an environment that the panel will accept, a
machine's plan, or a container's image. A blueprint that nothing can be built from has a problem, and is not sold.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import AddonKind, Image, Plan
from core import outside, tenancy
from servers.drivers import registry
from servers.drivers.abilities import AllowedImages
from servers.drivers.base import BuildFacts, ContainerBuild, GameBuild, MachineBuild, VariablesRefused
from servers.eggs import environment
from servers.hytale.variables import token_variables
from servers.models import Blueprint, Build, EggVariable, Provider, Server, ServerVariable

SECRET = "{{secret}}"  # noqa: S105 - the word that stands for one
SECRET_LENGTH = 24
# By blueprint. A blueprint's provider, and a provider's kind, never change.
_kinds: dict[UUID, str] = {}


def sold_build(blueprint: Blueprint, image: Image | None = None, ssh_keys: Sequence[str] = ()) -> dict[str, Any]:
    """What a machine or a container of the blueprint is built from that is sold now; empty for a game.

    Later changes of the blueprint are for servers that are sold later. A machine begins with the chosen image and keys.
    """
    if blueprint.build == Build.MACHINE:
        ref = blueprint.images.get(image=image).ref if image else blueprint.image
        return {"image": ref, "user_data": blueprint.user_data, "ssh_keys": list(ssh_keys)}
    if blueprint.build == Build.CONTAINER:
        return {
            "image": blueprint.image,
            "command": blueprint.startup,
            "ports": blueprint.container_ports,
            "volumes": blueprint.volumes,
            "environment": blueprint.environment,
        }
    return {}


def fixed_build(server: Server) -> MachineBuild | ContainerBuild | None:
    """The build of a machine or a container as it was sold, which its provider may compare; None for a game."""
    sold = server.build or sold_build(server.blueprint)
    if server.blueprint.build == Build.MACHINE:
        keys = tuple(sold["ssh_keys"])
        return MachineBuild(server.plan_ref, sold["image"], sold["user_data"], server.root_password or "", keys)
    if server.blueprint.build == Build.CONTAINER:
        return ContainerBuild(
            image=sold["image"],
            command=sold["command"],
            ports=tuple(sold["ports"]),
            volumes=tuple(sold["volumes"]),
            environment=overrides_of(sold["environment"], key=server.secret_key) | sold.get("own_environment", {}),
        )
    return None


def game_build(blueprint: Blueprint, merged: environment.Environment, chosen_image: str = "") -> GameBuild:
    """A game's build, with the image that its customer chose where the egg still has it.

    Raises Rejected where something is missing, VariablesRefused where a value is not valid.
    """
    egg = blueprint.egg
    if egg is None or not egg.is_present:
        raise outside.Rejected(
            _("The egg of the blueprint {name} is no longer on the panel.").format(name=blueprint.name)
        )
    image, startup = blueprint.image or egg.default_image, blueprint.startup or egg.startup
    if chosen_image in egg.docker_images.values():
        image = chosen_image
    if not image or not startup.strip():
        reason = _("The egg {egg} has no image or no start-up command, and the blueprint {name} gives none.")
        raise outside.Rejected(reason.format(egg=egg.name, name=blueprint.name))
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
    return merged_environment(server.blueprint, key=server.secret_key, own=ServerVariable.objects.filter(server=server))


def merged_environment(
    blueprint: Blueprint, *, key: str, own: Iterable[ServerVariable] = ()
) -> environment.Environment:
    """The egg's variables for the server with this key and these variables of its own."""
    overrides = overrides_of(blueprint.environment or {}, key=key)
    chosen: dict[str, str] = {}
    for variable in own:
        values = overrides if variable.is_set_by_staff else chosen
        values[variable.env_variable] = variable.value
    variables = EggVariable.objects.filter(egg=blueprint.egg, is_present=True).order_by("position")
    return environment.merge(variables, overrides, chosen)


def generated_variables(server: Server) -> dict[str, str]:
    """The values of those egg variables that the shop generates for the server."""
    values = environment_of(server).values
    generated = [name for name, value in (server.blueprint.environment or {}).items() if value == SECRET]
    return {name: values[name] for name in generated if name in values}


def new_root_password() -> str:
    """A password for root, in upper and lower case and with digits."""
    return f"Nb1{secrets.token_hex(SECRET_LENGTH // 2)}"


def _secret(name: str) -> str:
    return salted_hmac("servers.environment", name, algorithm="sha256").hexdigest()[:SECRET_LENGTH]


def overrides_of(values: Mapping[str, Any], *, key: str) -> dict[str, str]:
    """A blueprint's environment as text, with passwords of the server's own."""
    overrides = {}
    for name, value in values.items():
        if value == SECRET:  # the same at every attempt
            overrides[name] = _secret(f"{key}:{name}")
        elif isinstance(value, bool):
            overrides[name] = "1" if value else "0"
        else:
            overrides[name] = "" if value is None else str(value)
    return overrides


def provider_kind(blueprint_id: UUID) -> str:
    """The kind of the blueprint's provider, which customers may not read themselves."""
    if blueprint_id not in _kinds:
        with tenancy.as_worker_without_row():
            _kinds.update(Provider.objects.exclude(blueprints=None).values_list("blueprints", "kind"))
    return _kinds[blueprint_id]


def build_facts(blueprint: Blueprint) -> BuildFacts:
    """What is true of the blueprint's build at its provider; nothing in particular where that cannot make it."""
    return facts_of(provider_kind(blueprint.pk), blueprint)


def facts_of(kind: str, blueprint: Blueprint) -> BuildFacts:
    """See `build_facts`; for those who have read the provider's kind."""
    facts = registry.facts().get(kind)
    return facts.builds.get(Build(blueprint.build), BuildFacts()) if facts else BuildFacts()


def can_build(blueprint: Blueprint, *, ports: int, addons: Collection[str] = ()) -> bool:
    """Whether a server with so many ports and add-ons of these kinds can be built from the blueprint."""
    facts = build_facts(blueprint)
    wanted = {*addons, AddonKind.PORTS} if ports else set(addons)
    return not blueprint.problem and ports >= facts.min_ports and wanted <= facts.addons


def plan_problems(facts: BuildFacts, plan: Plan) -> dict[str, str]:
    """Why a build of these facts cannot make servers of the plan, by the plan's field; empty where it can."""
    none = {
        AddonKind.PORTS: ("ports", _("Servers built this way have no ports. Enter 0.")),
        AddonKind.DATABASES: ("databases", _("Servers built this way have no databases. Enter 0.")),
        AddonKind.BACKUPS: ("backups", _("Servers built this way have no backups. Enter 0.")),
    }
    problems = {
        field: text for kind, (field, text) in none.items() if getattr(plan, field) and kind not in facts.addons
    }
    if plan.ports < facts.min_ports:
        text = ngettext("At least {count} port is needed.", "At least {count} ports are needed.", facts.min_ports)
        problems["ports"] = text.format(count=facts.min_ports)
    return problems


def can_build_plan(blueprint: Blueprint, plan: Plan) -> bool:
    """Whether servers of the plan can be built from the blueprint."""
    return not blueprint.problem and not plan_problems(build_facts(blueprint), plan)


def unbuildable(plan: Plan, blueprints: Mapping[Blueprint, BuildFacts]) -> dict[str, list[str]]:
    """Why none of the plan's blueprints can build it, by the plan's field; empty where one can, or there is none."""
    problems = {blueprint: plan_problems(facts, plan) for blueprint, facts in blueprints.items()}
    if not all(problems.values()):
        return {}
    found: dict[str, list[str]] = {}
    for blueprint, of_fields in problems.items():
        for field, text in of_fields.items():
            found.setdefault(field, []).append(f"{blueprint}: {text}")
    return found


def problem_of(blueprint: Blueprint) -> str:
    """Why nothing can be built from the blueprint, without any choice of a customer; empty where something can."""
    facts = registry.facts().get(blueprint.provider.kind)
    if facts is None or blueprint.build not in facts.builds:
        return _("The provider {name} cannot make this build.").format(name=blueprint.provider.name)
    if find_problem := facts.builds[Build(blueprint.build)].user_data_problem:
        return find_problem(blueprint.user_data)
    if blueprint.build != Build.GAME:
        return image_problem(blueprint.provider, blueprint.image)
    if token_variables(blueprint.egg_id).filter(Q(is_user_viewable=True) | Q(is_user_editable=True)).exists():
        return _("The egg shows customers the tokens that sign its servers in. Hide both variables on the panel.")
    try:
        game_build(blueprint, merged_environment(blueprint, key=str(blueprint.pk)))
    except outside.Rejected as error:
        return str(error)
    return ""


def image_problem(provider: Provider, image: str) -> str:
    """Why the provider makes nothing from this image; empty where it may."""
    driver = registry.driver_of(provider)
    return driver.image_problem(image) if isinstance(driver, AllowedImages) else ""


def check_blueprints(provider_id: UUID) -> list[Blueprint]:
    """Find out again which of the provider's blueprints have a problem; those that have one, by name.

    To be called whenever a blueprint or what it is built from has changed.
    """
    rows = Blueprint.objects.filter(provider=provider_id).select_related("egg", "provider").order_by("name")
    for blueprint in rows:
        problem = problem_of(blueprint)
        if problem != blueprint.problem:
            blueprint.problem = problem
            Blueprint.objects.filter(pk=blueprint.pk).update(problem=problem)
    return [blueprint for blueprint in rows if blueprint.problem]
