"""Reads about users and organizations."""

from django.db import models

from accounts.models import Membership, User, UserStatus


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
