"""Reading eggs as the panel exports them (PTDL_v2)."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.pterodactyl.rows import Egg, EggVariable, Nest
from sandbox.pterodactyl.store import Store

NAMES = uuid.UUID("6f1d3f9e-6b0a-4a5e-9a43-0f5b1d9c7a10")


def import_egg(store: Store, nest: Nest, exported: Mapping[str, Any], *, egg_id: int = 0) -> Egg:
    """Add an exported egg to a nest; of variables that share a name, each keeps its row."""
    installation = exported["scripts"]["installation"]
    egg = store.eggs.add(
        Egg(
            id=egg_id,
            uuid=str(uuid.uuid5(NAMES, f"{nest.id}/{exported['name']}/{egg_id}")),
            nest_id=nest.id,
            name=exported["name"],
            author=exported["author"],
            description=exported.get("description") or "",
            docker_images=dict(exported["docker_images"] or {}),
            startup=exported["startup"],
            features=list(exported.get("features") or []),
            file_denylist=list(exported.get("file_denylist") or []) or None,
            config={
                **{name: config_part(exported["config"][name]) for name in ("files", "startup", "logs")},
                "stop": exported["config"]["stop"],
            },
            script={
                "install": installation["script"],
                "entry": installation["entrypoint"],
                "container": installation["container"],
            },
        )
    )
    for index, variable in enumerate(exported["variables"], start=1):
        rules = variable["rules"]
        egg.variables.append(
            EggVariable(
                id=egg.id * 1000 + index,
                name=variable["name"],
                description=variable["description"] or "",
                env_variable=variable["env_variable"],
                default_value=str(variable["default_value"] or ""),
                is_user_viewable=bool(variable["user_viewable"]),
                is_user_editable=bool(variable["user_editable"]),
                rules=rules if isinstance(rules, str) else "|".join(rules),
            )
        )
    return egg


def config_part(text: Any) -> Any:
    """A part of the configuration, which exports have as JSON text; an object without content when it is none."""
    if not isinstance(text, str):
        return text or {}
    try:
        return json.loads(text) or {}
    except ValueError:
        return {}


def import_folder(store: Store, nest: Nest, folder: Path) -> list[tuple[str, Egg]]:
    """Import every ``.json`` file of a folder in the order of the names; the result pairs file names and eggs.

    Raises OSError, ValueError or KeyError for a file that is no exported egg.
    """
    files = sorted(folder.glob("*.json"))
    return [(file.name, import_egg(store, nest, json.loads(file.read_text("utf-8")))) for file in files]
