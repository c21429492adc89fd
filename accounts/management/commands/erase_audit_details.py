"""Erase from the audit trail what says something about a person."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Organization, User
from core import audit, clock


class Command(BaseCommand):
    """For a person who asks for it: the entries by and about them lose values, texts, address and browser."""

    help = "Erase the details of the audit entries by and about a user. The chain stays verifiable."

    def add_arguments(self, parser: CommandParser) -> None:
        """The user's e-mail address."""
        parser.add_argument("email")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Erase and report."""
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['email']}")
        personal = Organization.objects.filter(owner=user, is_personal=True)
        count = audit.erase_details(entities=[user, *personal], actor="erase_audit_details", at=clock.now())
        self.stdout.write(f"erased the details of {count} audit entries")
