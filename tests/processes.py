"""What a process of the shop needs to work in the database of this test run."""

from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection

from core.postgresql import logins


def database_url(user: str = "") -> str:
    """The present test database for a login, the suite's own by default; a server's folder is named as libpq does."""
    database = connection.settings_dict
    password = "" if user else database["PASSWORD"]
    login = ":".join(quote(str(part), safe="") for part in (user or database["USER"], password))
    port = f":{database['PORT']}" if database["PORT"] else ""
    folder = database["OPTIONS"].get("host", "")
    query = f"?{urlencode({'host': folder})}" if folder else ""
    return f"postgresql://{login}@{database['HOST']}{port}/{database['NAME']}{query}"


def database_variables() -> dict[str, str]:
    """The environment variables with the logins of a process, and the key that signs its customers' bindings."""
    return {
        "DATABASE_URL": database_url(logins.WORKER_LOGIN),
        "DATABASE_CUSTOMER_URL": database_url(logins.CUSTOMER_LOGIN),
        "SECRET_KEY": settings.SECRET_KEY,
    }
