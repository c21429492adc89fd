"""What every template may know of the person."""

from typing import Any

from django.http import HttpRequest


def organization(request: HttpRequest) -> dict[str, Any]:
    """`organization`: the current one, None for visitors."""
    return {"organization": getattr(request, "organization", None)}
