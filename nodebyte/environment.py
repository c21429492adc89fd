"""Reading the environment once, at boot, and naming everything wrong with it in one message."""

import contextlib
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}
SECRETS: tuple[str, ...] = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL", "EMAIL_URL")
SECRETS += ("DATABASE_CUSTOMER_URL", "DATABASE_OWNER_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
YES, NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
MAIL_TIMEOUT_SECONDS = 10
MIN_COMPRESSED_BYTES = 40


class Environment:
    """The process environment as typed values; problems are collected until `refuse_if_wrong`.

    A shop is in production when SITE_URL names anything but this machine. On this machine a missing key is made once
    and kept under NODEBYTE_VAR, and PostgreSQL does what missing servers would; in production each is a problem.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._variables = dict(variables)
        for name in SECRETS:
            path = self.text(f"{name}_FILE")
            if not path:
                continue
            if self.text(name):
                self.problems.append(f"{name} and {name}_FILE are both set; keep one.")
                continue
            try:
                self._variables[name] = Path(path).read_text().strip()
            except OSError as error:
                self.problems.append(f"{name}_FILE cannot be read: {error.strerror}.")
            except UnicodeDecodeError:
                self.problems.append(f"{name}_FILE cannot be read: it is not text.")
        self.var = Path(self.text("NODEBYTE_VAR", str(BASE_DIR / "var"))).resolve()
        self.site_url = self.text("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
        self.is_production = not _is_loopback(self.site_url)
        parts = _split(self.site_url)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
            self.problems.append("SITE_URL must look like https://shop.example, without a path.")
        elif self.is_production and parts.scheme != "https":
            self.problems.append("SITE_URL must begin with https://: over http anyone on the way reads the cookies.")
        self.debug = self.flag("DEBUG")
        if self.debug and self.is_production:
            self.problems.append("DEBUG must be off when SITE_URL is public: it shows secrets to visitors.")

    def text(self, name: str, default: str = "") -> str:
        """The variable's text; an empty variable counts as absent."""
        return self._variables.get(name, "").strip() or default

    def flag(self, name: str) -> bool:
        """The variable as yes or no; absent means no."""
        value = self.text(name, "false").lower()
        if value not in YES | NO:
            self.problems.append(f"{name} must be true or false.")
        return value in YES

    def count(self, name: str) -> int:
        """The variable as a whole number from 0 up; absent means 0."""
        value = self.text(name, "0")
        if not (value.isascii() and value.isdigit()):
            self.problems.append(f"{name} must be a whole number, 0 or more.")
            return 0
        return int(value)

    def allowed_hosts(self) -> list[str]:
        """ALLOWED_HOSTS, or the host of SITE_URL (with its loopback names when that is this machine)."""
        hosts = [host.strip() for host in self.text("ALLOWED_HOSTS").split(",") if host.strip()]
        if "*" in hosts and self.is_production:
            self.problems.append("ALLOWED_HOSTS must name the shop's hosts; * lets anyone forge links in mails.")
        parts = _split(self.site_url)
        own = (parts.hostname if parts else "") or "localhost"
        return hosts or ([own] if self.is_production else [own, "localhost", "127.0.0.1", "[::1]"])

    def secret_key(self) -> str:
        """SECRET_KEY: at least 50 characters in production, made and kept under var/ otherwise."""
        key = self.text("SECRET_KEY") or self._local_key("secret_key", get_random_secret_key)
        is_weak = len(key) < 50 or key.startswith("django-insecure") or _is_repetitive(key)
        if key and self.is_production and is_weak:
            self.problems.append("SECRET_KEY must be at least 50 random characters and not an example.")
        return key

    def encryption_keys(self) -> list[str]:
        """FIELD_ENCRYPTION_KEYS: Fernet keys, comma separated; the first encrypts, all decrypt."""
        text = self.text("FIELD_ENCRYPTION_KEYS") or self._local_key(
            "field_encryption_keys", lambda: Fernet.generate_key().decode()
        )
        keys = [key.strip() for key in text.split(",") if key.strip()]
        if text and not keys:
            self.problems.append("FIELD_ENCRYPTION_KEYS holds no key.")
        for position, key in enumerate(keys, start=1):
            try:
                Fernet(key)
            except ValueError:
                self.problems.append(f"FIELD_ENCRYPTION_KEYS: key {position} is not 32 url-safe base64 bytes.")
                continue
            if self.is_production and _is_repetitive(key):
                self.problems.append(f"FIELD_ENCRYPTION_KEYS: key {position} is not random.")
        return keys

    def _local_key(self, name: str, make: Callable[[], str]) -> str:
        """The key in a private file of this name, made by the first process that asks; in production a problem."""
        if self.is_production:
            self.problems.append(f"{name.upper()} is missing (or give {name.upper()}_FILE).")
            return ""
        path = self.var / name
        try:
            if not path.exists():
                self.var.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f".{name}.{os.getpid()}")
                partial.write_text(make())
                partial.chmod(0o600)
                with contextlib.suppress(FileExistsError):  # another process was first
                    os.link(partial, path)
                partial.unlink()
            return path.read_text().strip()
        except OSError as error:
            self.problems.append(f"NODEBYTE_VAR: {name} can be neither made nor read there: {error.strerror}.")
            return ""

    def embedded_allowed(self, name: str) -> bool:
        """Whether the shop may run without the server of the missing variable `name`; in production only when told."""
        if self.text(name):
            return False  # it is there but wrong, and named already
        if self.is_production and not self.flag("NODEBYTE_EMBEDDED"):
            self.problems.append(f"{name} is missing; set it, or NODEBYTE_EMBEDDED=true for a small shop.")
            return False
        return True

    def url(self, name: str, schemes: set[str]) -> str:
        """The URL in variable `name`, empty when absent; its scheme must be one of `schemes`."""
        value = self.text(name)
        if not value:
            return ""
        parts = _split(value)
        if parts is None or parts.scheme not in schemes:
            self.problems.append(f"{name} must be a URL beginning with {' or '.join(sorted(schemes))}.")
            return ""
        return value

    def database_url(self, name: str) -> str:
        """The database URL in variable `name`, empty when absent; it must name a database."""
        value = self.url(name, {"postgres", "postgresql"})
        if value and not urlsplit(value).path.strip("/"):
            self.problems.append(f"{name} must end with the name of a database.")
            return ""
        return value

    def other_database_urls(self) -> tuple[str, str]:
        """DATABASE_CUSTOMER_URL and DATABASE_OWNER_URL; only `migrate` needs the owner's.

        Three logins of one database: with one login, customers' pages could do whatever the shop may.
        """
        names = ("DATABASE_CUSTOMER_URL", "DATABASE_OWNER_URL")
        customer, owner = (self.database_url(name) for name in names)
        if self.text("DATABASE_URL") and self.is_production and not self.text(names[0]):
            self.problems.append(f"{names[0]} is missing: customers' pages have a login of their own.")
        elif not self.text("DATABASE_URL") and (customer or owner):
            self.problems.append("DATABASE_URL is missing: the three logins of a database go together.")
        users = [urlsplit(url).username for url in (self.text("DATABASE_URL"), customer, owner) if url]
        if len(set(users)) < len(users):
            self.problems.append(
                "DATABASE_URL, DATABASE_CUSTOMER_URL and DATABASE_OWNER_URL must name different logins."
            )
        return customer, owner

    def gateway_address(self, name: str) -> str:
        """Another address for a gateway's API, empty for its own; over http only on this machine."""
        value = self.url(name, {"http", "https"}).rstrip("/")
        if value.startswith("http://") and self.is_production:
            self.problems.append(f"{name} must begin with https://: every call carries the secret key.")
        return value

    def relay_url(self) -> str:
        """CONSOLE_RELAY_URL: where browsers reach the relay of consoles; without it, at the shop's own address."""
        value = self.url("CONSOLE_RELAY_URL", {"ws", "wss"}).rstrip("/")
        if value.startswith("ws://") and self.is_production:
            self.problems.append("CONSOLE_RELAY_URL must begin with wss://: the session's cookie is sent to it.")
        return value or "ws" + self.site_url.removeprefix("http")

    def stripe_keys(self) -> tuple[str, str]:
        """STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET: both or neither; no test key in production unless allowed."""
        key = self.prefixed("STRIPE_SECRET_KEY", ("sk_", "rk_"))
        secret = self.prefixed("STRIPE_WEBHOOK_SECRET", ("whsec_",))
        if bool(key) != bool(secret):
            missing = "STRIPE_WEBHOOK_SECRET" if key else "STRIPE_SECRET_KEY"
            self.problems.append(f"{missing} is missing: Stripe's two keys go together.")
        if self.is_production and "_test_" in key and not self.flag("STRIPE_TEST_MODE"):
            self.problems.append(
                "STRIPE_SECRET_KEY is a test key: anyone could buy with a test card. STRIPE_TEST_MODE=true permits it."
            )
        return key, secret

    def prefixed(self, name: str, prefixes: tuple[str, ...]) -> str:
        """A vendor's key, empty when absent; it must begin with one of `prefixes`."""
        value = self.text(name)
        if value and not value.startswith(prefixes):
            self.problems.append(f"{name} must begin with {' or '.join(prefixes)}.")
        return value

    def mailer(self) -> dict[str, object]:
        """EMAIL_URL as an entry of MAILERS: smtp://, smtp+tls:// (STARTTLS), smtps:// or consolemail://."""
        value = self.url("EMAIL_URL", {"smtp", "smtp+tls", "smtps", "consolemail"})
        if not value and not self.text("EMAIL_URL") and self.is_production:
            self.problems.append("EMAIL_URL is missing: nobody could confirm an address.")
        parts = urlsplit(value)
        if parts.scheme in {"", "consolemail"}:
            return {"BACKEND": "django.core.mail.backends.console.EmailBackend"}
        if not parts.hostname:
            self.problems.append("EMAIL_URL must name the mail server's host.")
        if parts.scheme == "smtp" and parts.password and not _is_loopback(value):
            self.problems.append("EMAIL_URL sends its password in the clear; use smtp+tls:// or smtps://.")
        options = {
            "host": parts.hostname or "localhost",
            "port": parts.port,
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "use_tls": parts.scheme == "smtp+tls",
            "use_ssl": parts.scheme == "smtps",
            "timeout": MAIL_TIMEOUT_SECONDS,
        }
        return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}

    def refuse_if_wrong(self) -> None:
        """Raise ImproperlyConfigured that names every problem found."""
        if self.problems:
            lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(self.problems))
            raise ImproperlyConfigured(f"The environment has problems:\n{lines}")


def _split(url: str) -> SplitResult | None:
    """The URL's parts, or None when its host or port is no host or port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_repetitive(key: str) -> bool:
    """Whether the key repeats itself: one of 40 or more random characters does not compress to fewer bytes."""
    return len(zlib.compress(key.encode(), 9)) < MIN_COMPRESSED_BYTES


def _is_loopback(url: str) -> bool:
    parts = _split(url)
    host = (parts.hostname if parts else "") or ""
    return host in LOOPBACK_HOSTS or host.endswith(".localhost")
