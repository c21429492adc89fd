"""Reading eggs as the panel exports them (PTDL_v2)."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.pterodactyl.rows import Egg, EggVariable, Nest

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

NAMES = uuid.UUID("6f1d3f9e-6b0a-4a5e-9a43-0f5b1d9c7a10")


def import_egg(panel: "Panel", nest: Nest, exported: Mapping[str, Any], *, egg_id: int = 0) -> Egg:
    """Add an exported egg to a nest; of variables that share a name, each keeps its row."""
    installation = exported["scripts"]["installation"]
    egg = Egg(
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
            "files": as_object(exported["config"]["files"]),
            "startup": as_object(exported["config"]["startup"]),
            "logs": as_object(exported["config"]["logs"]),
            "stop": exported["config"]["stop"],
        },
        script={
            "install": installation["script"],
            "entry": installation["entrypoint"],
            "container": installation["container"],
        },
    )
    panel.store.eggs.add(egg)
    egg.variables = [variable(egg, index, each) for index, each in enumerate(exported["variables"], start=1)]
    return egg


def as_object(text: Any) -> Any:
    """A part of the configuration, which exports carry as JSON text."""
    if not isinstance(text, str):
        return text or {}
    try:
        return json.loads(text) or {}
    except ValueError:
        return {}


def variable(egg: Egg, index: int, exported: Mapping[str, Any]) -> EggVariable:
    """One exported variable."""
    return EggVariable(
        id=egg.id * 1000 + index,
        name=exported["name"],
        description=exported["description"] or "",
        env_variable=exported["env_variable"],
        default_value=str(exported["default_value"] or ""),
        is_user_viewable=bool(exported["user_viewable"]),
        is_user_editable=bool(exported["user_editable"]),
        rules=exported["rules"] if isinstance(exported["rules"], str) else "|".join(exported["rules"]),
    )


def import_folder(panel: "Panel", nest: Nest, folder: Path) -> list[tuple[str, Egg]]:
    """Import every ``.json`` file of a folder in the order of the names, and say which became what.

    Raises OSError, ValueError or KeyError for a file that is no exported egg.
    """
    files = sorted(folder.glob("*.json"))
    return [(file.name, import_egg(panel, nest, json.loads(file.read_text("utf-8")))) for file in files]
