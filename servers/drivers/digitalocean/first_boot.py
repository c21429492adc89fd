"""How a machine's customer gets in, and what runs at its first boot.

DigitalOcean takes no root password. Without an SSH key of the account it makes one up and mails it to the account's
owner, so each machine is created with a key: its customer's, or one that nobody can use. The password comes as a hash
by cloud-init, because every program on the machine can read its user data.
"""

import base64
import binascii
import hashlib
import json
import secrets
import string
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import MachineBuild

MAX_USER_DATA = 64 * 1024
ROUNDS = 5000
ALPHABET = "./" + string.digits + string.ascii_uppercase + string.ascii_lowercase  # of crypt(3)
# What cloud-init takes a part for, by how it begins.
TYPES = {"#cloud-config": "cloud-config", "#!": "x-shellscript", "#include": "x-include-url"}


def key_of_nobody() -> str:
    """A public key without a private one: its number is the hash of a sentence, not a point that somebody chose."""
    number = hashlib.sha256(b"Nobody has the private key to this public key.").digest()
    name = b"ssh-ed25519"
    blob = b"".join(len(part).to_bytes(4) + part for part in (name, number))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} nobody"


def fingerprint(line: str) -> str:
    """The MD5 fingerprint, by which DigitalOcean names a key. Raises Rejected for what is no public key."""
    try:
        blob = base64.b64decode(line.split()[1], validate=True)
    except (IndexError, binascii.Error):
        raise outside.Rejected(_("One of the SSH keys is not a public key.")) from None
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


def user_data(build: MachineBuild) -> str:
    """The first boot: the root password's hash, and what the blueprint runs. Raises Rejected where it is too long."""
    config: dict[str, Any] = {"disable_root": False}
    if build.root_password:
        hashed = sha512_crypt(build.root_password, secrets.token_hex(8))
        users = [{"name": "root", "password": hashed, "type": "hash"}]
        # Without a key the password is the only way in; with one it is for the console.
        config |= {"chpasswd": {"expire": False, "users": users}, "ssh_pwauth": not build.ssh_keys}
    content = f"#cloud-config\n{json.dumps(config, indent=1)}\n"  # JSON is YAML
    if build.user_data.strip():
        both = MIMEMultipart()
        for text in (build.user_data, content):  # of two cloud-configs the last decides
            kind = next((kind for begin, kind in TYPES.items() if text.startswith(begin)), "plain")
            both.attach(MIMEText(text, kind))
        content = both.as_string()
    if len(content.encode()) > MAX_USER_DATA:
        raise outside.Rejected(_("What the blueprint runs at the first boot is too long: at most 64 KiB together."))
    return content


def sha512_crypt(password: str, salt: str) -> str:
    """The password as /etc/shadow has it: `$6$`, by the SHA-crypt specification with its default number of rounds."""
    key, seed = password.encode(), salt.encode()

    def repeated(digest: bytes, length: int) -> bytes:
        return (digest * (length // len(digest) + 1))[:length]

    inner = hashlib.sha512(key + seed + key).digest()
    mixed = hashlib.sha512(key + seed + repeated(inner, len(key)))
    length = len(key)
    while length:
        mixed.update(inner if length & 1 else key)
        length >>= 1
    digest = mixed.digest()
    long_key = repeated(hashlib.sha512(key * len(key)).digest(), len(key))
    long_salt = repeated(hashlib.sha512(seed * (16 + digest[0])).digest(), len(seed))
    for turn in range(ROUNDS):
        parts = [long_key if turn & 1 else digest]
        parts += [long_salt] if turn % 3 else []
        parts += [long_key] if turn % 7 else []
        digest = hashlib.sha512(b"".join([*parts, digest if turn & 1 else long_key])).digest()

    first, second, third, encoded = 0, 21, 42, ""
    for _group in range(21):
        encoded += _six_bits(digest[first] << 16 | digest[second] << 8 | digest[third], 4)
        first, second, third = second + 1, third + 1, first + 1
    return f"$6${salt}${encoded}{_six_bits(digest[63], 2)}"


def _six_bits(number: int, count: int) -> str:
    return "".join(ALPHABET[number >> 6 * place & 63] for place in range(count))
