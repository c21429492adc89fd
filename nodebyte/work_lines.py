"""The work tables on the admin's start page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Min, Q, Value
from django.urls import reverse

from accounts.models import User
from core import work
from core.models import WorkState


@dataclass(frozen=True)
class WorkLine:
    """One work table: how many items failed for good, how many wait, and since when the oldest one is due."""

    label: str
    failed: int
    waiting: int
    oldest_due_at: datetime | None
    url: str


def work_lines(user: "User | AnonymousUser", at: datetime) -> list[WorkLine]:
    """The work tables that the user may view, counted by one query."""
    models = [
        model for model in work.registered() if user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")
    ]
    unfinished = Q(state__in=[WorkState.QUEUED, WorkState.RUNNING])
    counts = [
        model._default_manager.exclude(state=WorkState.DONE)
        .order_by()
        .annotate(table=Value(model._meta.label))
        .values("table")
        .annotate(
            failed=Count("pk", filter=Q(state=WorkState.DEAD)),
            waiting=Count("pk", filter=unfinished),
            oldest_due_at=Min("run_at", filter=Q(state=WorkState.QUEUED, run_at__lte=at)),
        )
        for model in models
    ]
    rows = counts[0].union(*counts[1:], all=True) if counts else []
    numbers = {row["table"]: row for row in rows}
    lines = []
    for model in models:
        found: dict[str, Any] = dict(numbers.get(model._meta.label, {}))
        line = WorkLine(
            label=str(model._meta.verbose_name_plural),
            failed=found.get("failed", 0),
            waiting=found.get("waiting", 0),
            oldest_due_at=found.get("oldest_due_at"),
            url=reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"),
        )
        lines.append(line)
    return lines
