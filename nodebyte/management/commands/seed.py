"""`manage.py seed`: a catalog, the first staff login and, where a panel is given, its inventory and blueprints."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import permissions
from core import clock
from nodebyte.seeding import catalog, panel, users


class Command(BaseCommand):
    """Fills a new shop; running it again adds only what is missing."""

    help = "Fill a new shop: catalog, staff login and, with --panel-url, a Pterodactyl panel. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The panel's keys come from PANEL_APPLICATION_KEY and PANEL_CLIENT_KEY, so that no process list shows them."""
        parser.add_argument("--demo", action="store_true", help="known passwords and a customer; refused in production")
        parser.add_argument("--staff-email", default=users.STAFF_EMAIL)
        parser.add_argument("--panel-url", default="")
        parser.add_argument("--panel-name", default="Panel")

    def handle(self, *args: Any, **options: Any) -> None:
        """Roles first, then the catalog, the logins and the panel: each needs those before it."""
        if options["demo"] and settings.IS_PRODUCTION:
            raise CommandError("--demo makes logins with known passwords; it is refused where SITE_URL is public.")
        permissions.ensure_staff_roles()
        products = catalog.seed_catalog(at=clock.now())
        self.stdout.write(f"catalog: {len(products)} products")
        password = users.DEMO_PASSWORD if options["demo"] else None
        logins = [users.seed_staff(email=options["staff_email"], password=password)]
        if options["demo"]:
            logins.append(users.seed_customer(email=users.CUSTOMER_EMAIL, password=password))
        for login in filter(None, logins):
            self.stdout.write(f"{login.role} login: {login.email} password: {login.password} (shown once)")
        if options["panel_url"]:
            self.seed_panel(name=options["panel_name"], base_url=options["panel_url"])

    def seed_panel(self, *, name: str, base_url: str) -> None:
        """Connect the panel with the keys from the environment."""
        try:
            missing = panel.seed_panel(
                name=name,
                base_url=base_url,
                application_key=os.environ.get("PANEL_APPLICATION_KEY", ""),
                client_key=os.environ.get("PANEL_CLIENT_KEY", ""),
                at=clock.now(),
            )
        except panel.PanelUnready as error:
            raise CommandError(f"The panel's inventory could not be read: {error}") from error
        self.stdout.write("panel: connected" + (f"; no egg for {', '.join(missing)}" if missing else ""))
