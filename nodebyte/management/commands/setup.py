"""`manage.py setup`: what a new shop needs before its first sign-in: name, currency, staff login, panel."""

import os
import sys
from argparse import ArgumentParser, BooleanOptionalAction
from getpass import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse

from accounts import permissions
from accounts.models import User
from core import clock, site_settings
from nodebyte.management.commands import seed
from nodebyte.seeding import catalog, users
from nodebyte.setup_steps import is_set

KEYS = {"PANEL_APPLICATION_KEY": "application API key", "PANEL_CLIENT_KEY": "client API key of an administrator"}
YES_OR_NO = {"y": True, "yes": True, "n": False, "no": False, "": False}


class Command(BaseCommand):
    """Asks for what no flag gives, where somebody is there to answer; changes nothing before all is answered."""

    help = (
        "Set up a new shop: its name and currency, the first staff login, a Pterodactyl panel and, if wanted, a sample "
        "catalog. Asks for what no option gives. Safe to run again: what exists keeps its values unless an option "
        "gives another. The panel's keys come from PANEL_APPLICATION_KEY and PANEL_CLIENT_KEY, or are asked for."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Each question has an option."""
        parser.add_argument("--shop-name", help="what customers call the shop")
        parser.add_argument("--currency", help="of its prices, such as USD")
        parser.add_argument("--staff-email", help="of the first staff login; its password is printed once")
        parser.add_argument("--panel-url", help="the panel's address; empty for none yet")
        parser.add_argument("--panel-name", default="Panel")
        parser.add_argument("--accept-eggs", action="store_true", help="sell games by the eggs that a run has shown")
        parser.add_argument(
            "--sample-catalog",
            action=BooleanOptionalAction,
            help="eleven games with plans and example prices, to be changed in the admin",
        )
        parser.add_argument("--no-input", action="store_true", help="ask nothing; what no option gives stays as it is")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, then write all but the panel in one transaction: what is wrong leaves nothing half done."""
        self.can_ask = sys.stdin.isatty() and not options["no_input"]
        name = self.answer(options["shop_name"], "Name of the shop", self.present("shop.name"))
        currency = self.answer(options["currency"], "Currency of its prices", self.present("shop.currency")).upper()
        email = self.answer(options["staff_email"], "E-mail address of the first staff login", "")
        wants_catalog = options["sample_catalog"]
        if wants_catalog is None:
            wants_catalog = YES_OR_NO.get(self.answer(None, "Sample catalog of eleven games (y/n)", "n").lower(), False)
        panel_url = self.answer(options["panel_url"], "Address of a Pterodactyl panel (empty: none yet)", "")
        for key, label in KEYS.items():
            if panel_url and self.can_ask and not os.environ.get(key):
                os.environ[key] = getpass(f"The panel's {label}: ")
        try:
            with transaction.atomic():
                for setting, value in (("shop.name", name), ("shop.currency", currency)):
                    if value:
                        site_settings.set_value(setting, value, actor="setup")
                permissions.ensure_staff_roles()
                if email:
                    validate_email(email)
                    self.create_staff(email)
                if wants_catalog:
                    products = catalog.seed_catalog(at=clock.now(), currency=site_settings.get("shop.currency"))
                    self.stdout.write(f"catalog: {len(products)} products with example prices; change them to yours")
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if panel_url:
            command = seed.Command()
            command.stdout = self.stdout
            provider, matches = command.connect_panel(name=options["panel_name"], base_url=panel_url)
            is_accepted = options["accept_eggs"] or YES_OR_NO.get(
                self.answer(None, "Sell these games by these eggs (y/n)", "n").lower(), False
            )
            command.seed_blueprints(provider, matches, is_accepted=is_accepted)
        if User.objects.filter(is_staff=True).exists():
            self.stdout.write(f"next: sign in; the start page at {reverse('admin:index')} lists what is left to do")
        else:
            self.stdout.write("next: a staff login; run this again with --staff-email")

    def answer(self, given: str | None, question: str, default: str) -> str:
        """What an option gave, or else what is typed; `default` for an empty line, or where nobody can answer."""
        if given is not None:
            return given.strip()
        if not self.can_ask:
            return default
        shown = f" [{default}]" if default else ""
        return input(f"{question}{shown}: ").strip() or default

    def present(self, key: str) -> str:
        """The setting as it is; where nobody answers and it is not set, nothing is stored."""
        return str(site_settings.get(key)) if self.can_ask or is_set(key) else ""

    def create_staff(self, email: str) -> None:
        """A superadmin; who has the address already keeps their password and rights."""
        login = users.seed_staff(email=email, password=None)
        if login is None:
            self.stdout.write(f"staff login: {email} has an account already, which stays as it is")
        else:
            self.stdout.write(f"staff login: {login.email} password: {login.password} (shown once)")
