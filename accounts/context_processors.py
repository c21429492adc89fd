"""What every template knows about the user."""

from typing import Any

from django.http import HttpRequest

from accounts.permissions import Access


def organization(request: HttpRequest) -> dict[str, Any]:
    """`organization`: the current one, None for a visitor. `permitted`: the actions that the user may do in it."""
    current = getattr(request, "organization", None)
    access: Access = getattr(request, "access", Access())
    return {"organization": current, "permitted": access.actions(current.pk if current else None)}
