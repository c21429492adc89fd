"""Reading the environment once, at boot, and naming everything wrong with it in one message."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}
SECRETS = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL", "EMAIL_URL")
SECRETS += ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")


class Environment:
    """The process environment as typed values; problems gather until `refuse_if_wrong`.

    A shop is in production when SITE_URL names anything but this machine. On this machine a missing key is made once
    and kept under NODEBYTE_VAR, and missing servers are embedded; in production each is a problem.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self.env = environ.Env()
        self.env.ENVIRON = dict(variables)
        self._read_secret_files()
        self.var = Path(self.text("NODEBYTE_VAR", str(BASE_DIR / "var"))).resolve()
        self.site_url = self._site_url()
        self.is_production = not self._is_loopback(self.site_url)
        self.debug = self._debug()

    def _read_secret_files(self) -> None:
        for name in SECRETS:
            path = self.env.ENVIRON.get(f"{name}_FILE")
            if not path:
                continue
            try:
                self.env.ENVIRON[name] = Path(path).read_text().strip()
            except OSError as error:
                self.problems.append(f"{name}_FILE cannot be read: {error.strerror}.")

    def text(self, name: str, default: str = "") -> str:
        """The variable's text; an empty variable counts as absent."""
        return self.env.str(name, default) or default

    def _site_url(self) -> str:
        url = self.text("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
            self.problems.append("SITE_URL must look like https://shop.example, without a path.")
        return url

    @staticmethod
    def _is_loopback(url: str) -> bool:
        host = urlsplit(url).hostname or ""
        return host in LOOPBACK_HOSTS or host.endswith(".localhost")

    def _debug(self) -> bool:
        try:
            debug: bool = self.env.bool("DEBUG", False)
        except (ValueError, ImproperlyConfigured):
            self.problems.append("DEBUG must be true or false.")
            return False
        if debug and self.is_production:
            self.problems.append("DEBUG must be off when SITE_URL is public: it shows secrets to visitors.")
        return debug

    def allowed_hosts(self) -> list[str]:
        """ALLOWED_HOSTS, or the host of SITE_URL (with its loopback names when that is this machine)."""
        hosts = [host.strip() for host in self.text("ALLOWED_HOSTS").split(",") if host.strip()]
        if "*" in hosts and self.is_production:
            self.problems.append("ALLOWED_HOSTS must name the shop's hosts; * lets anyone forge links in mails.")
        own = urlsplit(self.site_url).hostname or "localhost"
        return hosts or ([own] if self.is_production else [own, "localhost", "127.0.0.1", "[::1]"])

    def secret_key(self) -> str:
        """SECRET_KEY: at least 50 characters in production, made and kept under var/ otherwise."""
        key = self.text("SECRET_KEY") or self._kept("secret_key", get_random_secret_key)
        if self.is_production and (len(key) < 50 or key.startswith("django-insecure")):
            self.problems.append("SECRET_KEY must be at least 50 random characters and not an example.")
        return key

    def encryption_keys(self) -> list[str]:
        """FIELD_ENCRYPTION_KEYS: Fernet keys, comma separated; the first encrypts, all decrypt."""
        text = self.text("FIELD_ENCRYPTION_KEYS") or self._kept("field_encryption_keys", _new_fernet_key)
        keys = [key.strip() for key in text.split(",") if key.strip()]
        for position, key in enumerate(keys, start=1):
            if not _is_fernet_key(key):
                self.problems.append(f"FIELD_ENCRYPTION_KEYS: key {position} is not 32 url-safe base64 bytes.")
        return keys

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        if self.is_production:
            self.problems.append(f"{name.upper()} is missing (or give {name.upper()}_FILE).")
            return ""
        path = self.var / name
        if not path.exists():
            self.var.mkdir(parents=True, exist_ok=True)
            _write_once(path, make())
        return path.read_text().strip()

    def embedded_allowed(self, name: str) -> bool:
        """Whether an embedded server may stand in for the missing variable `name`; in production only when asked."""
        if self.is_production and not self.env.bool("NODEBYTE_EMBEDDED", False):
            self.problems.append(f"{name} is missing; set it, or NODEBYTE_EMBEDDED=true for a small shop.")
            return False
        return True

    def url(self, name: str, schemes: set[str]) -> str:
        """The URL in variable `name`, empty when absent; its scheme must be one of `schemes`."""
        value = self.text(name)
        if value and urlsplit(value).scheme not in schemes:
            self.problems.append(f"{name} must be a URL beginning with {' or '.join(sorted(schemes))}.")
            return ""
        return value

    def prefixed(self, name: str, prefixes: tuple[str, ...]) -> str:
        """A vendor's key, empty when absent; it must begin with one of `prefixes`."""
        value = self.text(name)
        if value and not value.startswith(prefixes):
            self.problems.append(f"{name} must begin with {' or '.join(prefixes)}.")
        return value

    def refuse_if_wrong(self) -> None:
        """Raise ImproperlyConfigured that names every problem found."""
        if self.problems:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            raise ImproperlyConfigured(f"The environment needs mending:\n{lines}")


def _new_fernet_key() -> str:
    return Fernet.generate_key().decode()


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


def _write_once(path: Path, text: str) -> None:
    """Write a private file unless another process was first."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.chmod(0o600)
    try:
        os.link(partial, path)
    except FileExistsError:
        return
    finally:
        partial.unlink()
