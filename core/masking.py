"""Keeping secrets out of what is stored, logged or shown: values are masked by their names."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "•••"
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_WORDS = frozenset({
    "apikey", "authorization", "cookie", "credential", "credentials", "key", "keys", "otp", "passphrase", "passwd",
    "password", "passwords", "pin", "privatekey", "pwd", "secret", "secrets", "token", "tokens", "totp",
})  # fmt: skip
_PUBLIC_WORDS = frozenset({"public", "publishable"})


def is_secret_name(name: str) -> bool:
    """Whether a value under this name should not be shown: `apiToken`, `api_key`, `X-Secret`; not `public_key`."""
    words = {word.lower() for word in _WORD_BREAK.split(name)}
    return bool(words & _SECRET_WORDS) and not words & _PUBLIC_WORDS


def masked(value: Any, secrets: tuple[str, ...] = ()) -> Any:
    """A copy with values under secret names replaced, and the given secrets removed from every text.

    Empty values, booleans and None stay visible, to tell "set" from "not set".
    """
    if isinstance(value, Mapping):
        copy = {}
        for key, inner in value.items():
            name = str(key)
            is_hidden = is_secret_name(name) and bool(inner) and not isinstance(inner, bool)
            copy[_without(secrets, name)] = MASK if is_hidden else masked(inner, secrets)
        return copy
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner, secrets) for inner in value]
    return _without(secrets, value) if isinstance(value, str) else value


def _without(secrets: tuple[str, ...], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return storable(text)


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL characters and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
