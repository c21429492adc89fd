"""Reading `a[b][0][c]=value` bodies and query strings into nested dictionaries."""

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe import errors

KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
STEP = re.compile(r"\[([^\[\]]*)\]")
MAX_FIELDS = 3000

Pairs = list[tuple[str, str]]


def pairs_of(text: str) -> Pairs:
    """The decoded fields in the order sent; blank values are kept because they clear a parameter.

    Raises StripeError for too many fields or undecodable text.
    """
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise errors.invalid("Invalid form encoding.") from error


def nested(pairs: Pairs) -> dict[str, Any]:
    """Fields as nested dictionaries; array positions stay as keys in digits for the schema to turn into lists.

    Raises StripeError when a name is malformed or used both as a value and as a group.
    """
    root: dict[str, Any] = {}
    for name, value in pairs:
        found = KEY.fullmatch(name)
        if found is None:
            raise errors.unknown_parameter(name)
        *groups, last = [found.group(1), *STEP.findall(found.group(2))]
        here = root
        for group in groups:
            here = here.setdefault(group or str(len(here)), {})
            if not isinstance(here, dict):
                raise errors.invalid("Invalid object", param=name)
        last = last or str(len(here))
        if isinstance(here.get(last), dict):
            raise errors.invalid("Invalid object", param=name)
        here[last] = value
    return root
