"""Reads about users and organizations."""

from django.db import models

from accounts.models import Membership, User


def memberships_of(user: User) -> "models.QuerySet[Membership]":
    """The user's memberships with their organizations, the personal one first."""
    return (
        Membership.objects.filter(user=user)
        .select_related("organization")
        .order_by("-organization__is_personal", "organization__name")
        .fetch_mode(models.FETCH_RAISE)
    )
