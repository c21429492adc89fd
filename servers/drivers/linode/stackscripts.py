"""User data that names a StackScript: its number in the first line, and below it the values of its fields.

    #stackscript 10079
    {"hostname": "shop", "admin_email": "ops@example.com"}

It stands where cloud-init's own kinds have their first line (`#!/bin/sh`, `#cloud-config`). So a blueprint names its
script as it names any other user data, and what was sold keeps it.
"""

import json
import re

from django.utils.translation import gettext as _

from core import outside

_HEADER = re.compile(r"#stackscript +([0-9]{1,15})\s*(?:\n(.*))?", re.DOTALL)


def parse(user_data: str) -> tuple[int, dict[str, str]] | None:
    """The StackScript's number and the values of its fields; None for other user data. Raises Rejected."""
    if not user_data.startswith("#stackscript"):
        return None
    found = _HEADER.fullmatch(user_data.replace("\r\n", "\n"))
    try:
        values = json.loads((found[2] or "").strip() or "{}") if found else None
    except ValueError:
        values = None
    if not found or not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        example = '#stackscript 10079\n{"hostname": "shop"}'
        reason = _("The user data must be a StackScript's number and a JSON object of texts, such as: {example}")
        raise outside.Rejected(reason.format(example=example))
    return int(found[1]), values


def problem_of(user_data: str) -> str:
    """What is wrong with the user data of a blueprint; empty where it is fine."""
    try:
        parse(user_data)
    except outside.Rejected as error:
        return str(error)
    return ""
