"""Checkpoints of the audit trail: the chain's head, signed with a key that the database does not have.

The database links the chain (core/migrations/0003_audit_chain.py), so its owner could rebuild it. What is below a
checkpoint nobody can rebuild without the application's key; the schedule runs `sign_head` every few seconds. The newest
head is also kept in a file, outside the database: it shows that the newest entries were cut off with their checkpoints.
"""

import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from core import tenancy
from core.models import AuditCheckpoint, AuditLink

log = logging.getLogger(__name__)
SIGNED_WITHIN = timedelta(minutes=10)  # the schedule signs far more often: an older link without a checkpoint lost it


@dataclass(frozen=True)
class ChainHead:
    """The end of the chain at some time: its position, which is the number of entries, and its hash."""

    position: int
    hash: str


def head() -> ChainHead | None:
    """The current end of the chain, None while it is empty."""
    row = AuditLink.objects.order_by("position").values_list("position", "hash").last()
    return ChainHead(*row) if row else None


def sign_head() -> ChainHead | None:
    """Sign the chain's head and keep it outside the database; None where it was signed before, or must not be.

    A chain without the head that this machine kept is not signed: that would hide what happened to it.
    """
    with tenancy.as_worker():
        newest = head()
        if newest is None or AuditCheckpoint.objects.filter(position=newest.position).exists():
            return None
        kept = kept_head()
        if kept is not None and (problem := problem_of(kept)):
            log.critical(
                "the audit trail is %s at position %s, and gets no checkpoint any more", problem, kept.position
            )
            return None
        checkpoint = AuditCheckpoint(position=newest.position, hash=newest.hash, signature=signatures(newest)[0])
        AuditCheckpoint.objects.bulk_create([checkpoint], ignore_conflicts=True)  # another worker may have been quicker
    keep_head(newest)
    log.info("audit trail signed at %s:%s", newest.position, newest.hash)
    return newest


def broken_heads(anchor: ChainHead | None) -> Iterator[tuple[int, str]]:
    """Position and problem of the newest checkpoint, and of every head that was noted and is no longer there."""
    checkpoint = AuditCheckpoint.objects.order_by("position").last()
    heads = [each for each in (anchor, kept_head()) if each is not None]
    if checkpoint is not None:
        heads.append(ChainHead(checkpoint.position, checkpoint.hash))
        if not any(hmac.compare_digest(checkpoint.signature, signature) for signature in signatures(heads[-1])):
            yield checkpoint.position, "forged checkpoint"
    for noted in dict.fromkeys(heads):
        if problem := problem_of(noted):
            yield noted.position, problem
    above = AuditLink.objects.filter(
        position__gt=checkpoint.position if checkpoint else 0, at__lt=Now() - SIGNED_WITHIN
    )
    unsigned = above.order_by("position").values_list("position", flat=True).first()
    if unsigned is not None:
        yield unsigned, "unsigned"


def problem_of(noted: ChainHead) -> str:
    """What happened to a head that the chain had; empty where it is still there."""
    present = AuditLink.objects.filter(position=noted.position).values_list("hash", flat=True).first()
    if present == noted.hash:
        return ""
    return "cut off" if present is None else "rebuilt"


def signatures(signed: ChainHead) -> list[str]:
    """The head's signature with each key: the first key signs, and all verify."""
    text = f"{signed.position}:{signed.hash}"
    keys = settings.FIELD_ENCRYPTION_KEYS
    return [salted_hmac("core.audit_checkpoints", text, secret=key, algorithm="sha256").hexdigest() for key in keys]


def kept_head() -> ChainHead | None:
    """The newest head that this machine signed, None without its file."""
    try:
        return ChainHead(**json.loads(head_file().read_text()))
    except FileNotFoundError:
        return None


def keep_head(newest: ChainHead) -> None:
    """Write the file, as a whole or not at all."""
    written = head_file().with_suffix(".new")
    written.write_text(json.dumps(asdict(newest)))
    written.replace(head_file())


def head_file() -> Path:
    """Where this machine keeps it. Staff delete it after restoring the database from a backup."""
    return Path(settings.VAR) / "audit_head.json"
