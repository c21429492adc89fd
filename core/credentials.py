"""The keys of a gateway or a provider, as a driver names them and the admin asks for them."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True)
class CredentialField:
    """One of the keys, as staff enter it. A secret one is never shown again. One of several lines is a certificate
    or the like."""

    name: str
    label: str | Promise
    help_text: str | Promise = ""
    is_secret: bool = True
    is_multiline: bool = False
