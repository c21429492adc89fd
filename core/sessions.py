"""The session store: Django's, in the database. Every page of a signed-in user reads its session."""

from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from core.compiled import compiled

_read_session = compiled(lambda session_key: Session.objects.filter(session_key=session_key, expire_date__gt=Now()))


class SessionStore(db.SessionStore):
    """A session is read by a compiled query, and by the database's clock."""

    def _get_session_from_db(self) -> Any:
        found = _read_session(self.session_key) if self.session_key else []
        if not found:
            self._session_key = None
        return found[0] if found else None
