"""Keeping secrets out of what is stored, logged or shown: values are masked by the name they stand under."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "•••"
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_SECRET_WORDS = frozenset({
    "apikey", "authorization", "cookie", "credential", "credentials", "key", "keys", "otp", "passphrase", "passwd",
    "password", "passwords", "pin", "privatekey", "pwd", "secret", "secrets", "token", "tokens", "totp",
})  # fmt: skip
_HARMLESS_WORDS = frozenset({"public", "publishable"})


def is_secret_name(name: str) -> bool:
    """Whether a value under this name should not be shown: `apiToken`, `api_key`, `X-Secret`; not `public_key`."""
    words = {word.lower() for word in _WORD_BREAK.split(name)}
    return bool(words & _SECRET_WORDS) and not words & _HARMLESS_WORDS


def masked(value: Any, secrets: tuple[str, ...] = ()) -> Any:
    """A copy with values under secret names replaced, and the given secrets cut out of every text.

    Emptiness, truth and absence stay visible, so that "set" can be told from "not set".
    """
    if isinstance(value, Mapping):
        return {_clean(str(key), secrets): _masked_under(str(key), inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner, secrets) for inner in value]
    return _clean(value, secrets) if isinstance(value, str) else value


def _masked_under(name: str, value: Any, secrets: tuple[str, ...]) -> Any:
    is_telling = bool(value) and not isinstance(value, bool)
    return MASK if is_telling and is_secret_name(name) else masked(value, secrets)


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return storable(text)


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL characters and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
