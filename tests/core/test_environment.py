"""What the shop refuses to start with, and that it says everything at once."""

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from nodebyte.environment import BASE_DIR, Environment

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()  # the same in every test process
PRODUCTION = {
    "SITE_URL": "https://shop.example",
    "SECRET_KEY": "v7!qLz2@Rk9#mXw4$TnB6%cYh1&JdF8*sGp3(Ue5)aQo0-ViNxZtrKj",
    "FIELD_ENCRYPTION_KEYS": KEY,
    "DATABASE_URL": "postgres://nodebyte:pw@db.internal:5432/nodebyte",
    "DATABASE_CUSTOMER_URL": "postgres://nodebyte_customer_login:pw@db.internal:5432/nodebyte",
    "REDIS_URL": "redis://cache.internal:6379/0",
    "EMAIL_URL": "smtp+tls://user:p%40ss@mail.example:587",
    "STRIPE_SECRET_KEY": "sk_live_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
}


def problems_of(**variables: str) -> list[str]:
    """Everything the settings read, in their order; the problems found."""
    environment = Environment(variables)
    environment.secret_key()
    environment.encryption_keys()
    environment.allowed_hosts()
    is_without_database = not environment.database_url("DATABASE_URL")
    environment.other_database_urls()
    is_without_redis = not environment.url("REDIS_URL", {"redis", "rediss", "unix"})
    environment.mailer()
    environment.stripe_keys()
    environment.gateway_address("STRIPE_API_BASE")
    environment.relay_url()
    environment.count("TRUSTED_PROXY_COUNT")
    for name, is_missing in (("DATABASE_URL", is_without_database), ("REDIS_URL", is_without_redis)):
        if is_missing:
            environment.embedded_allowed(name)
    return environment.problems


def production(**changes: str) -> dict[str, str]:
    return PRODUCTION | changes


def test_a_whole_production_environment_has_no_problem(tmp_path: Path) -> None:
    assert problems_of(**production(NODEBYTE_VAR=str(tmp_path))) == []


def test_an_empty_environment_is_a_working_shop_on_this_machine(tmp_path: Path) -> None:
    assert problems_of(NODEBYTE_VAR=str(tmp_path)) == []


def test_every_missing_variable_is_named_in_one_refusal() -> None:
    environment = Environment({"SITE_URL": "https://shop.example"})
    environment.secret_key()
    environment.encryption_keys()
    environment.mailer()
    environment.embedded_allowed("DATABASE_URL")
    environment.embedded_allowed("REDIS_URL")

    with pytest.raises(ImproperlyConfigured) as refusal:
        environment.refuse_if_wrong()

    for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "EMAIL_URL", "DATABASE_URL", "REDIS_URL"):
        assert f"{name} is missing" in str(refusal.value)
    assert str(refusal.value).count("\n") == 5


def test_the_settings_read_every_variable_before_refusing() -> None:
    wrong = {"SITE_URL": "http://shop.example", "DEBUG": "maybe", "TRUSTED_PROXY_COUNT": "-1"}
    manage = subprocess.run(
        [sys.executable, "manage.py", "check"], env=wrong, cwd=BASE_DIR, capture_output=True, text=True, check=False
    )
    told = manage.stderr

    assert manage.returncode != 0
    for name in ("SITE_URL", "DEBUG", "TRUSTED_PROXY_COUNT", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL"):
        assert f"  - {name}" in told
    assert "REDIS_URL" in told
    assert "EMAIL_URL" in told


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SITE_URL", "shop.example", "SITE_URL must look like"),
        ("SITE_URL", "https://shop.example/store", "SITE_URL must look like"),
        ("SITE_URL", "https://shop.example:x", "SITE_URL must look like"),
        ("SITE_URL", "http://shop.example", "SITE_URL must begin with https://"),
        ("DEBUG", "true", "DEBUG must be off"),
        ("DEBUG", "perhaps", "DEBUG must be true or false"),
        ("SECRET_KEY", "short", "SECRET_KEY must be at least 50"),
        ("SECRET_KEY", "django-insecure-" + "x" * 60, "SECRET_KEY must be at least 50"),
        ("SECRET_KEY", "k" * 67, "SECRET_KEY must be at least 50 random"),
        ("SECRET_KEY", "abcdefghij" * 6, "SECRET_KEY must be at least 50 random"),
        ("FIELD_ENCRYPTION_KEYS", "A" * 43 + "=", "FIELD_ENCRYPTION_KEYS: key 1 is not random"),
        ("FIELD_ENCRYPTION_KEYS", f"{KEY},abc", "FIELD_ENCRYPTION_KEYS: key 2"),
        ("FIELD_ENCRYPTION_KEYS", ",", "FIELD_ENCRYPTION_KEYS holds no key"),
        ("ALLOWED_HOSTS", "*", "ALLOWED_HOSTS must name"),
        ("DATABASE_URL", "mysql://db/nodebyte", "DATABASE_URL must be a URL"),
        ("DATABASE_URL", "postgres://db:port/nodebyte", "DATABASE_URL must be a URL"),
        ("DATABASE_URL", "postgres://db", "DATABASE_URL must end with the name"),
        ("REDIS_URL", "cache.internal:6379", "REDIS_URL must be a URL"),
        ("EMAIL_URL", "mail.example", "EMAIL_URL must be a URL"),
        ("EMAIL_URL", "smtp://user:pw@mail.example", "EMAIL_URL sends its password in the clear"),
        ("STRIPE_SECRET_KEY", "pk_live_1", "STRIPE_SECRET_KEY must begin with"),
        ("STRIPE_SECRET_KEY", "sk_test_1", "STRIPE_SECRET_KEY is a test key"),
        ("STRIPE_WEBHOOK_SECRET", "secret", "STRIPE_WEBHOOK_SECRET must begin with"),
        ("STRIPE_WEBHOOK_SECRET", "", "STRIPE_WEBHOOK_SECRET is missing"),
        ("STRIPE_API_BASE", "http://stripe.internal", "STRIPE_API_BASE must begin with https://"),
        ("CONSOLE_RELAY_URL", "ws://shop.example", "CONSOLE_RELAY_URL must begin with wss://"),
        ("TRUSTED_PROXY_COUNT", "-1", "TRUSTED_PROXY_COUNT must be a whole number"),
        ("TRUSTED_PROXY_COUNT", "²", "TRUSTED_PROXY_COUNT must be a whole number"),
    ],
)
def test_a_malformed_variable_is_the_only_problem_named(name: str, value: str, said: str) -> None:
    found = problems_of(**production(**{name: value}))

    assert [problem for problem in found if said in problem], found
    assert len(found) == 1


def test_a_small_shop_may_ask_for_the_embedded_servers() -> None:
    variables = production(DATABASE_URL="", DATABASE_CUSTOMER_URL="", REDIS_URL="", NODEBYTE_EMBEDDED="true")

    assert problems_of(**variables) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DATABASE_CUSTOMER_URL": ""}, "DATABASE_CUSTOMER_URL is missing"),
        ({"DATABASE_URL": "", "NODEBYTE_EMBEDDED": "true"}, "DATABASE_URL is missing"),
        ({"DATABASE_CUSTOMER_URL": PRODUCTION["DATABASE_URL"]}, "must name different logins"),
        ({"DATABASE_OWNER_URL": PRODUCTION["DATABASE_CUSTOMER_URL"]}, "must name different logins"),
    ],
)
def test_customers_pages_never_fall_back_to_another_login_of_the_database(changes: dict[str, str], said: str) -> None:
    (found,) = problems_of(**production(**changes))

    assert said in found


def test_staging_may_take_test_money_when_it_says_so() -> None:
    assert problems_of(**production(STRIPE_SECRET_KEY="sk_test_1", STRIPE_TEST_MODE="true")) == []


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PRODUCTION["SECRET_KEY"] + "\n")

    environment = Environment(production(SECRET_KEY="", SECRET_KEY_FILE=str(tmp_path / "key")))

    assert environment.secret_key() == PRODUCTION["SECRET_KEY"]
    assert environment.problems == []


def test_a_secret_file_that_cannot_be_read_is_named_without_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "absent")

    environment = Environment(production(SECRET_KEY_FILE=path, SECRET_KEY=""))

    assert environment.problems == ["SECRET_KEY_FILE cannot be read: No such file or directory."]


def test_a_secret_file_of_bytes_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")

    environment = Environment(production(SECRET_KEY="", SECRET_KEY_FILE=str(tmp_path / "key")))

    assert environment.problems == ["SECRET_KEY_FILE cannot be read: it is not text."]


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PRODUCTION["SECRET_KEY"])

    environment = Environment(production(SECRET_KEY_FILE=str(tmp_path / "key")))

    assert environment.problems == ["SECRET_KEY and SECRET_KEY_FILE are both set; keep one."]


def test_local_keys_are_made_once_and_kept_privately(tmp_path: Path) -> None:
    var = tmp_path / "new" / "var"
    first = Environment({"NODEBYTE_VAR": str(var)})
    key, keys = first.secret_key(), first.encryption_keys()

    second = Environment({"NODEBYTE_VAR": str(var)})

    assert (second.secret_key(), second.encryption_keys()) == (key, keys)
    assert {path.name for path in var.iterdir()} == {"secret_key", "field_encryption_keys"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in var.iterdir()} == {0o600}


def test_production_makes_no_key_of_its_own(tmp_path: Path) -> None:
    environment = Environment({"SITE_URL": "https://shop.example", "NODEBYTE_VAR": str(tmp_path)})

    assert environment.secret_key() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_var_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    environment = Environment({"NODEBYTE_VAR": str(tmp_path / "var")})

    environment.secret_key()

    assert environment.problems[0].startswith("NODEBYTE_VAR: secret_key can be neither made nor read there")


def test_no_problem_ever_shows_a_secret() -> None:
    variables = production(
        SECRET_KEY="hush-short",
        FIELD_ENCRYPTION_KEYS="hush-key",
        DATABASE_URL="mysql://u:hush@db/x",
        EMAIL_URL="smtp://u:hush@mail.example",
        STRIPE_SECRET_KEY="hush",
        STRIPE_WEBHOOK_SECRET="hush",
    )

    assert "hush" not in "\n".join(problems_of(**variables))


@pytest.mark.parametrize(
    ("url", "port", "use_tls", "use_ssl"),
    [
        ("smtp://127.0.0.1:2525", 2525, False, False),
        ("smtp+tls://u:p%40ss@mail.example", None, True, False),
        ("smtps://mail.example:465", 465, False, True),
    ],
)
def test_the_mail_address_becomes_a_mailer(url: str, port: int | None, use_tls: bool, use_ssl: bool) -> None:
    mailer = Environment({"EMAIL_URL": url}).mailer()

    options = mailer["OPTIONS"]
    assert isinstance(options, dict)
    assert (options["port"], options["use_tls"], options["use_ssl"]) == (port, use_tls, use_ssl)
    assert options["timeout"]


def test_a_password_in_the_mail_address_may_be_percent_encoded() -> None:
    options = Environment(PRODUCTION).mailer()["OPTIONS"]

    assert isinstance(options, dict)
    assert (options["username"], options["password"]) == ("user", "p@ss")
