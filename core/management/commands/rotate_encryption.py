"""Bring every encrypted column under the first key, so that older keys can be taken out of FIELD_ENCRYPTION_KEYS."""

from typing import Any

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction

from core.encryption import Ciphertext, EncryptedField, encrypted_fields, reencrypt

BATCH = 500


class Command(BaseCommand):
    """Safe to repeat and to interrupt: a row already under the first key is left alone."""

    help = "Re-encrypt every encrypted column with the first key of FIELD_ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate everything, then fail with the list of what no key opens."""
        broken: list[str] = []
        for model in apps.get_models():
            for field in encrypted_fields(model) if model._meta.managed else ():
                changed = _rotate_column(model, field, broken)
                self.stdout.write(f"{model._meta.label}.{field.name}: {changed} re-encrypted")
        if broken:
            raise CommandError("no key opens:\n  " + "\n  ".join(broken))


def _rotate_column(model: type[models.Model], field: EncryptedField, broken: list[str]) -> int:
    changed, last = 0, None
    while True:
        rows = model._base_manager.filter(**{f"{field.name}__isnull": False}).order_by("pk")
        if last is not None:
            rows = rows.filter(pk__gt=last)
        with transaction.atomic():
            batch = list(rows.select_for_update(no_key=True).values_list("pk", field.name)[:BATCH])
            for pk, value in batch:
                try:
                    renewed = reencrypt(value) if isinstance(value, Ciphertext) else None
                except InvalidToken:
                    broken.append(f"{model._meta.label}.{field.name} of row {pk}")
                    continue
                if renewed:
                    changed += model._base_manager.filter(pk=pk).update(**{field.name: renewed})
        if len(batch) < BATCH:
            return changed
        last = batch[-1][0]
