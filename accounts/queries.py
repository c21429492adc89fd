"""Reads about users and organizations."""

from uuid import UUID

from django.db import models

from accounts.models import Membership, User, UserStatus
from core.compiled import compiled

_user = compiled(lambda pk: User.objects.filter(pk=pk))
_memberships_with_user = compiled(lambda user_id: memberships_of(User(pk=user_id)).select_related("user"))


def user_with_memberships(user_id: UUID) -> User | None:
    """The user with `read_memberships`, what `memberships_of` finds; in one query unless they have none."""
    memberships = _memberships_with_user(user_id)
    users = [memberships[0].user] if memberships else _user(user_id)
    for user in users:
        user.read_memberships = memberships
        return user
    return None


def memberships_of(user: User) -> "models.QuerySet[Membership]":
    """The user's memberships with their organizations, the personal one first."""
    return (
        Membership.objects.filter(user=user)
        .select_related("organization")
        .order_by("-organization__is_personal", "organization__name")
        .fetch_mode(models.FETCH_RAISE)
    )


def staff_with(permission: str) -> "models.QuerySet[User]":
    """The staff who have the permission ("servers.change_provider") by one of their roles, or as superusers."""
    app, _dot, codename = permission.partition(".")
    by_role = models.Q(groups__permissions__content_type__app_label=app, groups__permissions__codename=codename)
    rows = User.objects.filter(models.Q(is_superuser=True) | by_role, is_staff=True, status=UserStatus.ACTIVE)
    return rows.distinct().order_by("pk")
