"""How the user of a session is found."""

from uuid import UUID

from allauth.account import auth_backends

from accounts import queries
from accounts.models import User


class AuthenticationBackend(auth_backends.AuthenticationBackend):  # type: ignore[misc]
    """allauth's. The user's memberships are read with the user, because every page needs both."""

    def get_user(self, user_id: UUID) -> User | None:
        """The user, if they may sign in."""
        user = queries.user_with_memberships(user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
