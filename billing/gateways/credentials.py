"""The keys of a gateway account, as the admin asks for them."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True)
class CredentialField:
    """One of an account's keys, as staff enter it. A secret one is never shown again."""

    name: str
    label: str | Promise
    help_text: str | Promise = ""
    is_secret: bool = True
