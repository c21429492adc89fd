"""The SSH keys of a user: what is kept, what is refused, and that nobody reaches another's."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import SshKey, User
from core.models import AuditEntry
from tests.builders import make_user

pytestmark = pytest.mark.django_db
PAGE = "/ssh-keys/"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
FINGERPRINT = "SHA256:"


def public(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """As the file that ends in .pub has it."""
    formats = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(*formats).decode()


@pytest.fixture
def ada(client: Client) -> User:
    """A user who is signed in."""
    user = make_user("ada@example.com")
    client.force_login(user)
    return user


def test_a_key_is_kept_with_its_fingerprint_and_named_by_its_comment(client: Client, ada: User) -> None:
    answer = client.post(PAGE, {"public_key": f"  {KEY} ada@laptop\n"}, follow=True)

    key = SshKey.objects.get(user=ada)
    assert (key.name, key.public_key, key.line) == ("ada@laptop", KEY, f"{KEY} ada@laptop")
    assert key.fingerprint in answer.content.decode()
    assert key.fingerprint.startswith(FINGERPRINT)
    assert AuditEntry.objects.filter(action="ssh_key.add", actor_id=ada.pk, entity_id=str(key.pk)).exists()


def test_every_type_that_providers_take_is_kept(client: Client, ada: User) -> None:
    keys = [public(rsa.generate_private_key(65537, 2048)), public(ec.generate_private_key(ec.SECP256R1()))]
    for number, key in enumerate(keys):
        client.post(PAGE, {"name": f"key {number}", "public_key": key})

    assert [each.name for each in SshKey.objects.order_by("name")] == ["key 0", "key 1"]


PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PRIVATE, "private key"),
        (f"{KEY}\n{KEY}", "one line"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAA==", "begins with"),
        (f'command="rm -rf /" {KEY}', "begins with"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "begins with"),
        (KEY[:-9], "whole"),
        (f"ssh-rsa {KEY.split()[1]}", "whole"),
        ("ssh-ed25519 not*base64", "whole"),
        ("ssh-ed25519", "whole"),
        (public(rsa.generate_private_key(65537, 1024)), "2048 bits"),  # noqa: S505 - which is refused
        ("", "required"),
    ],
)
def test_what_is_no_public_key_is_refused_at_its_field(client: Client, ada: User, text: str, said: str) -> None:
    answer = client.post(PAGE, {"name": "mine", "public_key": text})

    assert answer.status_code == 422
    assert said in str(answer.context["form"].errors["public_key"])
    assert not SshKey.objects.exists()
    assert "c2VjcmV0LWJ5dGVz" not in answer.content.decode()


def test_the_same_key_is_refused_for_one_user_and_kept_for_another(client: Client, ada: User) -> None:
    client.post(PAGE, {"name": "laptop", "public_key": KEY})
    again = client.post(PAGE, {"name": "another", "public_key": f"{KEY} with a comment"})
    assert "laptop" in str(again.context["form"].errors["public_key"])

    bob = Client()
    bob.force_login(make_user("bob@example.com"))
    bob.post(PAGE, {"name": "laptop", "public_key": KEY})
    assert SshKey.objects.count() == 2


def test_somebody_elses_key_is_neither_shown_nor_deleted(client: Client, ada: User) -> None:
    client.post(PAGE, {"name": "adas-laptop", "public_key": KEY})
    [key] = SshKey.objects.all()
    bob = Client()
    bob.force_login(make_user("bob@example.com"))

    assert "adas-laptop" not in bob.get(PAGE).content.decode()
    for value in (str(key.pk), "nonsense", ""):
        assert bob.post(PAGE, {"delete": value}).status_code == 404
    assert SshKey.objects.exists()
    client.post(PAGE, {"delete": str(key.pk)})
    assert not SshKey.objects.exists()
    assert AuditEntry.objects.filter(action="ssh_key.delete", actor_id=ada.pk).exists()


@pytest.mark.parametrize("text", [f"{KEY}\nssh-rsa AAAA", f'command="x" {KEY}', f"{KEY} comment", "ssh-dss AAAA"])
def test_the_database_keeps_nothing_that_would_be_more_than_a_key(ada: User, text: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        SshKey.objects.create(user=ada, name="x", public_key=text, fingerprint="x", created_at=timezone.now())
