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
from django.db.models import Exists, OuterRef
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

    A chain without the newest checkpoint or the head that this machine kept is not signed: that would hide what
    happened to it.
    """
    with tenancy.as_worker():
        newest, checkpoint, kept = head(), AuditCheckpoint.objects.order_by("position").last(), kept_head()
        if newest is None:
            return None
        problems = [] if checkpoint is None else problems_of_checkpoint(checkpoint)
        problems += [(kept.position, problem)] if kept and (problem := problem_of(kept)) else []
        if problems:
            log.critical("the audit trail gets no checkpoint any more: %s", problems)
            return None
        is_signed = checkpoint is not None and checkpoint.position == newest.position
        if not is_signed:
            row = AuditCheckpoint(position=newest.position, hash=newest.hash, signature=signatures(newest)[0])
            AuditCheckpoint.objects.bulk_create([row], ignore_conflicts=True)  # another worker may have been quicker
    if kept != newest:
        keep_head(newest)  # also where another machine signed it
    if not is_signed:
        log.info("audit trail signed at %s:%s", newest.position, newest.hash)
    return None if is_signed else newest


def broken_heads(anchor: ChainHead | None) -> Iterator[tuple[int, str]]:
    """Position and problem of the newest checkpoint, and of every head that was signed or noted and is not there."""
    checkpoint = AuditCheckpoint.objects.order_by("position").last()
    found = dict.fromkeys(problems_of_checkpoint(checkpoint) if checkpoint is not None else [])
    present = AuditLink.objects.filter(position=OuterRef("position"), hash=OuterRef("hash"))
    older = AuditCheckpoint.objects.exclude(Exists(present)).order_by("position").values_list("position", "hash")
    noted = [ChainHead(*row) for row in older[:1000]] + [each for each in (anchor, kept_head()) if each is not None]
    found |= dict.fromkeys((each.position, problem) for each in noted if (problem := problem_of(each)))
    yield from found
    above = AuditLink.objects.filter(
        position__gt=checkpoint.position if checkpoint else 0, at__lt=Now() - SIGNED_WITHIN
    )
    unsigned = above.order_by("position").values_list("position", flat=True).first()
    if unsigned is not None:
        yield unsigned, "unsigned"


def problems_of_checkpoint(checkpoint: AuditCheckpoint) -> list[tuple[int, str]]:
    """Its position with each problem: nobody with the key signed it, or the chain has another head there."""
    signed = ChainHead(checkpoint.position, checkpoint.hash)
    is_genuine = any(hmac.compare_digest(checkpoint.signature, signature) for signature in signatures(signed))
    problems = ["" if is_genuine else "forged checkpoint", problem_of(signed)]
    return [(checkpoint.position, problem) for problem in problems if problem]


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
