"""Signatures of webhooks: RSA over `id|time|webhook id|crc32`, by a certificate that the stand-in makes and serves."""

import base64
import uuid
import zlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

KEY_BITS = 2048
YEARS = 20


class Signer:
    """One key with its certificate, at `url`; and another key, for forgeries."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        self._other = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "messageverificationcerts.paypal.com")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=365 * YEARS)).not_valid_after(
            now + timedelta(days=365 * YEARS)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def headers(self, body: bytes, webhook_id: str, time: str, *, is_forged: bool = False) -> dict[str, str]:
        """The headers of a webhook's request."""
        transmission = str(uuid.uuid4())
        text = f"{transmission}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()
        signed = (self._other if is_forged else self._key).sign(text, PKCS1v15(), hashes.SHA256())
        return {
            "Paypal-Transmission-Id": transmission,
            "Paypal-Transmission-Time": time,
            "Paypal-Transmission-Sig": base64.b64encode(signed).decode(),
            "Paypal-Cert-Url": self.url,
            "Paypal-Auth-Algo": "SHA256withRSA",
        }
