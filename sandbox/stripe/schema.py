"""What an endpoint accepts: small readers that turn text into values and refuse everything else."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

from sandbox.stripe import errors

MAX_KEYS, MAX_KEY, MAX_VALUE = 50, 40, 500
WHOLE = re.compile(r"-?[0-9]{1,19}")


class Spec(Protocol):
    """Reads one parameter."""

    def read(self, value: Any, param: str) -> Any:
        """The parsed value.

        Raises StripeError naming `param`.
        """


def _text(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise errors.invalid("Invalid string", param=param)
    return value


class Text:
    """A string of at most `most` characters; blank is refused."""

    def __init__(self, most: int = 5000) -> None:
        self._most = most

    def read(self, value: Any, param: str) -> str:
        """The text itself."""
        text = _text(value, param)
        if text == "":
            message = (
                f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a "
                f"parameter; however '{param}' cannot be unset. Remove '{param}' from your request or supply a "
                "non-empty value."
            )
            raise errors.invalid(message, param=param, code="parameter_invalid_empty")
        if len(text) > self._most:
            message = f"Invalid string: must be at most {self._most} characters"
            raise errors.invalid(message, param=param, code="parameter_invalid_string_length")
        return text


class Clearable:
    """Another reader's values, or blank for null."""

    def __init__(self, inner: Spec) -> None:
        self._inner = inner

    def read(self, value: Any, param: str) -> Any:
        """None for blank."""
        return None if value == "" else self._inner.read(value, param)


class Integer:
    """A whole number within bounds."""

    def __init__(self, least: int = -(2**53), most: int = 2**53) -> None:
        self._least, self._most = least, most

    def read(self, value: Any, param: str) -> int:
        """The number; only ASCII digits count."""
        text = _text(value, param)
        if not WHOLE.fullmatch(text):
            raise errors.invalid(f"Invalid integer: {text}", param=param, code="parameter_invalid_integer")
        number = int(text)
        if not self._least <= number <= self._most:
            message = f"Invalid integer: must be between {self._least} and {self._most}"
            raise errors.invalid(message, param=param, code="parameter_invalid_integer")
        return number


class Flag:
    """`true` or `false`."""

    def read(self, value: Any, param: str) -> bool:
        """The boolean."""
        if value not in {"true", "false"}:
            raise errors.invalid(f"Invalid boolean: {value}", param=param)
        return bool(value == "true")


class Choice:
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def read(self, value: Any, param: str) -> str:
        """The word."""
        text = _text(value, param)
        if text not in self._words:
            raise errors.invalid(f"Invalid {param}: must be one of {', '.join(self._words)}", param=param)
        return text


class Url:
    """An absolute http or https address."""

    def read(self, value: Any, param: str) -> str:
        """The address as sent."""
        text = _text(value, param)
        if not re.fullmatch(r"https?://[^/\s]\S*", text):
            message = f"Not a valid URL: {param} must be an absolute http(s) address"
            raise errors.invalid(message, param=param, code="url_invalid")
        return text


class Metadata:
    """Up to 50 keys of 40 characters with values of 500; blank values delete on update."""

    def read(self, value: Any, param: str) -> dict[str, str]:
        """Keys and values; an empty dictionary for blank."""
        if value == "":
            return {}
        if not isinstance(value, dict):
            raise errors.invalid("Invalid object", param=param)
        if len(value) > MAX_KEYS:
            raise errors.invalid(f"Metadata can have at most {MAX_KEYS} keys.", param=param)
        for key, text in value.items():
            if len(key) > MAX_KEY or len(_text(text, f"{param}[{key}]")) > MAX_VALUE:
                message = f"Metadata keys are up to {MAX_KEY} characters and values up to {MAX_VALUE}."
                raise errors.invalid(message, param=f"{param}[{key}]")
        return dict(value)


class Many:
    """A list, sent with indices; at most `most` entries."""

    def __init__(self, inner: Spec, most: int = 100) -> None:
        self._inner, self._most = inner, most

    def read(self, value: Any, param: str) -> list[Any]:
        """The entries by rising index; an empty list for blank."""
        if value == "":
            return []
        if not isinstance(value, dict) or not all(re.fullmatch(r"[0-9]{1,6}", key) for key in value):
            raise errors.invalid("Invalid array", param=param)
        if len(value) > self._most:
            raise errors.invalid(f"Array {param} exceeded maximum {self._most} allowed elements.", param=param)
        return [self._inner.read(value[key], f"{param}[{key}]") for key in sorted(value, key=int)]


class Group:
    """Named parameters, nothing else."""

    def __init__(self, fields: Mapping[str, Spec], required: tuple[str, ...] = ()) -> None:
        self._fields, self._required = fields, required

    def read(self, value: Any, param: str = "") -> dict[str, Any]:
        """The parsed parameters that were sent."""
        if not isinstance(value, dict):
            raise errors.invalid("Invalid object", param=param)
        for name in value:
            if name == "payment_method_types":
                message = (
                    "payment_method_types is no longer supported in this API version. Leave it out to use dynamic "
                    "payment methods, or send allowed_payment_method_types or excluded_payment_method_types."
                )
                code = "payment_method_types_no_longer_supported"
                raise errors.invalid(message, param=_joined(param, name), code=code)
            if name not in self._fields:
                raise errors.unknown_parameter(_joined(param, name))
        for name in self._required:
            if name not in value:
                raise errors.missing_parameter(_joined(param, name))
        return {name: self._fields[name].read(inner, _joined(param, name)) for name, inner in value.items()}


def _joined(param: str, name: str) -> str:
    return f"{param}[{name}]" if param else name


BOUNDS = Group({"gt": Integer(), "gte": Integer(), "lt": Integer(), "lte": Integer()})


class Instants:
    """A `created` filter: one instant or bounds."""

    def read(self, value: Any, param: str) -> dict[str, int]:
        """Bounds by `gt`, `gte`, `lt`, `lte`."""
        if isinstance(value, dict):
            return BOUNDS.read(value, param)
        instant = Integer().read(value, param)
        return {"gte": instant, "lte": instant}


EXPAND = Many(Text(200), most=20)
PAGING: dict[str, Spec] = {
    "limit": Integer(1, 100),
    "starting_after": Text(),
    "ending_before": Text(),
    "expand": EXPAND,
}
