"""What a process of the shop needs to work in the database of this test run."""

from urllib.parse import quote, urlencode

from django.db import connection


def database_url() -> str:
    """The present test database; a server that listens in a folder is named as libpq does."""
    database = connection.settings_dict
    login = ":".join(quote(str(database[part]), safe="") for part in ("USER", "PASSWORD"))
    port = f":{database['PORT']}" if database["PORT"] else ""
    folder = database["OPTIONS"].get("host", "")
    query = f"?{urlencode({'host': folder})}" if folder else ""
    return f"postgresql://{login}@{database['HOST']}{port}/{database['NAME']}{query}"
