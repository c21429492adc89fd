"""What every template knows about the user."""

from typing import Any

from django.http import HttpRequest


def organization(request: HttpRequest) -> dict[str, Any]:
    """`organization`: the current one, None for a visitor who is not signed in."""
    return {"organization": getattr(request, "organization", None)}
