"""An egg as a panel exports it to JSON, read into plain values: tolerant of oddities, strict on what cannot be used."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from django.utils.translation import gettext as _

from .fields import EggInvalid, Fields
from .images import docker_images_of
from .variables import EggFileVariable, oddities_of, variable_from

__all__ = ["EggFile", "EggFileConfig", "EggFileScript", "EggFileVariable", "EggInvalid", "parse"]

VERSIONS = ("PTDL_v1", "PTDL_v2")


@dataclass(frozen=True)
class EggFileConfig:
    """How a node tends the running game. All but `stop` (a console command or ^C) are JSON text, as exported."""

    files: str
    startup: str
    logs: str
    stop: str


@dataclass(frozen=True)
class EggFileScript:
    """What a node runs to install the game, in which image, and with which shell."""

    installation: str
    container: str
    entrypoint: str


@dataclass(frozen=True)
class EggFile:
    """One game template. `docker_images` maps label to image in the file's order; the first is the panel's default.

    `warnings` are sentences about oddities that do not keep the egg from being used.
    """

    version: str
    name: str
    author: str
    description: str
    update_url: str
    features: tuple[str, ...]
    file_denylist: tuple[str, ...]
    docker_images: Mapping[str, str]
    startup: str
    config: EggFileConfig
    script: EggFileScript
    variables: tuple[EggFileVariable, ...]
    warnings: tuple[str, ...]


def parse(exported: str | bytes, *, source: str) -> EggFile:
    """The egg in an exported file's content; `source` names the file in complaints.

    Raises EggInvalid, a sentence naming file and field, if the egg cannot be used.
    """
    fields = Fields(source, _document(exported, source))
    warnings: list[str] = []
    return EggFile(
        version=_version(fields),
        name=fields.required_text("name"),
        author=fields.text("author"),
        description=fields.text("description"),
        update_url=fields.child("meta").text("update_url"),
        features=_filled(fields.texts("features")),
        file_denylist=_filled(fields.texts("file_denylist")),
        docker_images=docker_images_of(fields, warnings),
        startup=_startup(fields, warnings),
        config=_config(fields.child("config"), warnings),
        script=_script(fields.child("scripts").child("installation")),
        variables=_variables(fields, warnings),
        warnings=tuple(warnings),
    )


def _document(exported: str | bytes, source: str) -> Mapping[str, object]:
    try:
        text = exported.decode("utf-8-sig") if isinstance(exported, bytes) else exported.removeprefix("\ufeff")
        # Decimal defaults stay the digits that were written.
        document = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise EggInvalid(source, "", _("it is not a JSON document ({error})").format(error=error)) from error
    if not isinstance(document, dict):
        raise EggInvalid(source, "", _("it is JSON, but not an object"))
    return cast("Mapping[str, object]", document)


def _filled(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if text.strip())


def _version(fields: Fields) -> str:
    version = fields.child("meta").text("version")
    if version not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise fields.child("meta").invalid("version", _("it must be one of {versions}").format(versions=known))
    return version


def _startup(fields: Fields, warnings: list[str]) -> str:
    startup = fields.text("startup")
    if not startup.strip():
        warnings.append(_("The startup command is empty; a blueprint has to bring its own."))
    return startup


def _config(fields: Fields, warnings: list[str]) -> EggFileConfig:
    texts = {key: fields.json_text(key) for key in ("files", "startup", "logs")}
    for key, text in texts.items():
        if not _is_json(text):
            warnings.append(_("The field “config.{key}” does not hold JSON.").format(key=key))
    return EggFileConfig(**texts, stop=fields.text("stop"))


def _is_json(text: str) -> bool:
    try:
        json.loads(text or "{}")
    except (ValueError, RecursionError):
        return False
    return True


def _script(fields: Fields) -> EggFileScript:
    return EggFileScript(
        installation=fields.text("script"), container=fields.text("container"), entrypoint=fields.text("entrypoint")
    )


def _variables(fields: Fields, warnings: list[str]) -> tuple[EggFileVariable, ...]:
    variables = tuple(variable_from(entry) for entry in fields.children("variables"))
    for variable in variables:
        warnings.extend(oddities_of(variable))
    warnings.extend(_repetitions(variables))
    return variables


def _repetitions(variables: Iterable[EggFileVariable]) -> Iterator[str]:
    variables = tuple(variables)
    for name in _repeated(variable.env_variable for variable in variables):
        yield _("Several variables are stored under {name}; the last one's rules count.").format(name=name)
    for name in _repeated(variable.name for variable in variables):
        yield _("Several variables are called “{name}”.").format(name=name)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
