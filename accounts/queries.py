"""Reads about people and organizations."""

from uuid import UUID

from django.db import models

from accounts.models import Membership, Organization, User


def memberships_of(user: User) -> "models.QuerySet[Membership]":
    """The user's places, the personal organization first."""
    return (
        Membership.objects.filter(user=user)
        .select_related("organization")
        .order_by("-organization__is_personal", "organization__name")
        .fetch_mode(models.FETCH_RAISE)
    )


def organization_ids_of(user: User) -> tuple[UUID, ...]:
    """Ids of the organizations whose rows the user may see."""
    return tuple(Membership.objects.filter(user=user).values_list("organization_id", flat=True))


def personal_organization_of(user: User) -> Organization:
    """The organization that every user has."""
    return Organization.objects.get(owner=user, is_personal=True)
