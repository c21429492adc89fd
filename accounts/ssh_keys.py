"""The SSH keys of a user: what is a public key, and adding and deleting one."""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.utils.translation import gettext as _

from accounts.models import SshKey, User
from core import audit, tenancy

MAX_KEYS = 50  # of a user
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 16_384
# What all providers of machines take.
TYPE = re.compile(r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)")


class KeyRefused(ValueError):
    """It is not kept; the text says why, for its user."""


@dataclass(frozen=True)
class PublicKey:
    """A public key without its comment, which is beside it."""

    text: str
    comment: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(base64.b64decode(self.text.partition(" ")[2])).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def parse(text: str) -> PublicKey:
    """The public key of a line, as a file that ends in .pub has it. Raises KeyRefused."""
    if "PRIVATE KEY" in text.upper():
        raise KeyRefused(
            _("This is a private key, which nobody but you should have. We did not keep it. Paste the public key.")
        )
    kind, _space, rest = text.strip().partition(" ")
    encoded, _space, comment = rest.strip().partition(" ")
    if "\n" in text.strip():
        raise KeyRefused(_("Paste one key, on one line."))
    if not TYPE.fullmatch(kind):
        raise KeyRefused(_("A key begins with ssh-ed25519, ssh-rsa or ecdsa-sha2-nistp256."))
    try:
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused(_("This is not a whole public key. Copy all of it.")) from None
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise KeyRefused(_("An RSA key needs at least 2048 bits. Make a new one with ssh-keygen -t ed25519."))
    return PublicKey(f"{kind} {encoded}", comment.strip())


def add_key(*, user: User, name: str, public_key: PublicKey) -> SshKey:
    """Keep one more key of the user. Raises KeyRefused for one that they have already, and for too many."""
    with tenancy.as_worker(user):
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        rows = SshKey.objects.filter(user_id=user.pk)
        if known := rows.filter(fingerprint=public_key.fingerprint).first():
            raise KeyRefused(_("You have this key already: %(name)s.") % {"name": known.name})
        if rows.count() >= MAX_KEYS:
            raise KeyRefused(_("You have as many keys as we keep. Delete one that you no longer use."))
        key = SshKey.objects.create(
            user_id=user.pk, name=name, public_key=public_key.text, fingerprint=public_key.fingerprint
        )
        new = {"name": name, "fingerprint": key.fingerprint}
        audit.record(action="ssh_key.add", entity=key, actor=user, new=new)
    return key


def delete_key(*, key: SshKey, actor: User) -> None:
    """Forget a key. Machines that were built with it keep it."""
    with tenancy.as_worker(key):
        old = {"name": key.name, "fingerprint": key.fingerprint}
        audit.record(action="ssh_key.delete", entity=key, actor=actor, old=old)
        SshKey.objects.filter(pk=key.pk).delete()
