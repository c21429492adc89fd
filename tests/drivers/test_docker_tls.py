"""An engine on the network: it is believed by its certificate, and asks for ours."""

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core import outside
from core.outside import limits
from servers.drivers import registry
from servers.drivers.docker import DockerDriver
from tests.drivers.adapters import Docker, docker_provider


class Authority:
    """A certificate authority of its own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed(self.key, "Authority", is_authority=True)

    def issue(self, name: str) -> tuple[str, str]:
        """A certificate for this machine, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        options = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self._signed(key, name, is_authority=False), key.private_bytes(*options).decode()

    def _signed(self, key: ec.EllipticCurvePrivateKey, name: str, *, is_authority: bool) -> str:
        now, subject = datetime.now(UTC), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
        made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = made.add_extension(own, critical=False)
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), False)
        usage |= {"key_agreement": False, "encipher_only": False, "decipher_only": False, "crl_sign": is_authority}
        signs = x509.KeyUsage(digital_signature=True, key_cert_sign=is_authority, **usage)
        made = made.add_extension(signs, critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        signed = made.add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


class Handler(BaseHTTPRequestHandler):
    """An engine without containers."""

    def do_GET(self) -> None:
        """Its version, and nothing else."""
        answers: dict[str, Any] = {"/version": {"ApiVersion": "1.45"}, "/v1.45/volumes": {"Volumes": None}}
        content = json.dumps(answers.get(self.path.partition("?")[0], [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on the console."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The operator's."""
    return Authority()


@pytest.fixture(scope="module")
def address(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine that answers only who has a certificate of its authority."""
    folder: Path = tmp_path_factory.mktemp("engine")
    for name, text in zip(("certificate", "key"), authority.issue("engine"), strict=True):
        (folder / name).write_text(text)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "certificate", folder / "key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def driver_with(address: str, authority: Authority, signer: Authority) -> DockerDriver:
    """A driver that believes one authority, and has a certificate of another, or the same."""
    provider = docker_provider(address)
    certificate, key = signer.issue("shop")
    provider.credentials = {"authority": authority.certificate, "certificate": certificate, "key": key}
    driver = registry.driver_of(provider)
    assert isinstance(driver, DockerDriver)
    return driver


def test_the_engine_answers_whom_it_believes(
    address: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")

    assert driver_with(address, authority, authority).find(Docker(address).spec(), []) is None


@pytest.mark.parametrize(("is_server_known", "is_client_known"), [(False, True), (True, False)])
def test_a_certificate_of_another_authority_is_refused_by_either_side(
    address: str,
    authority: Authority,
    is_server_known: bool,
    is_client_known: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    limits.reset_limits()
    (tmp_path / "public").write_text(authority.certificate)  # as if it were one that everybody believes
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "public"))
    known, signer = (authority if is_known else Authority() for is_known in (is_server_known, is_client_known))

    with pytest.raises(outside.Unavailable):
        driver_with(address, known, signer).find(Docker(address).spec(), [])


def test_half_of_the_keys_is_an_outage_and_never_a_call_without_them(address: str, authority: Authority) -> None:
    provider = docker_provider(address)
    for credentials in ({"certificate": "x"}, {"authority": authority.certificate}, {"key": "x", "certificate": "y"}):
        provider.credentials = credentials

        with pytest.raises(outside.Unavailable, match=r"authority|cannot be read"):
            registry.driver_of(provider).find(Docker(address).spec(), [])
