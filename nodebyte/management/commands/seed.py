"""`manage.py seed`: a catalog, the first staff login and, where a panel is given, its inventory and blueprints."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import permissions
from core import clock
from nodebyte.seeding import catalog, panel, users, vps
from servers.models import Location, Provider


class Command(BaseCommand):
    """Fills a new shop; running it again adds only what is missing."""

    help = "Fill a new shop: catalog, staff login and, with --panel-url, a Pterodactyl panel. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Keys and passwords come from the environment, so that no process list shows them.

        PANEL_APPLICATION_KEY and PANEL_CLIENT_KEY; with --vps SUPER_ADMIN_PASSWORD, ADMIN_PASSWORD and
        CUSTOMER_PASSWORD.
        """
        parser.add_argument("--demo", action="store_true", help="known passwords and a customer; refused in production")
        parser.add_argument("--staff-email", default=users.STAFF_EMAIL)
        parser.add_argument("--vps", action="store_true", help="also VPS plans in rupiah, their coupons and users")
        parser.add_argument("--panel-url", default="")
        parser.add_argument("--panel-name", default="Panel")
        parser.add_argument("--accept-eggs", action="store_true", help="sell games by the eggs that a run has shown")

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
        if options["vps"]:
            self.stdout.write(f"catalog: {vps.seed_catalog(at=clock.now())}")
            has_customer = options["demo"] or not settings.IS_PRODUCTION
            logins += vps.seed_users(os.environ, has_customer=has_customer)
        for login in filter(None, logins):
            self.stdout.write(f"{login.role} login: {login.email} password: {login.password} (shown once)")
        if options["panel_url"]:
            provider, matches = self.connect_panel(name=options["panel_name"], base_url=options["panel_url"])
            if options["demo"]:
                panel.seed_regions(provider)
            self.seed_blueprints(provider, matches, is_accepted=options["demo"] or options["accept_eggs"])

    def connect_panel(self, *, name: str, base_url: str) -> tuple[Provider, list[panel.Match]]:
        """Connect the panel with the keys from the environment, and show which egg each game is."""
        try:
            provider = panel.connect_panel(
                name=name,
                base_url=base_url,
                application_key=os.environ.get("PANEL_APPLICATION_KEY", ""),
                client_key=os.environ.get("PANEL_CLIENT_KEY", ""),
                at=clock.now(),
            )
        except panel.PanelUnready as error:
            raise CommandError(f"The panel's inventory could not be read: {error}") from error
        self.stdout.write("panel: connected")
        matches = panel.match_eggs(provider)
        for match in matches:
            found = [f"{egg.nest} / {egg} by {egg.author or 'nobody'} (number {egg.ref})" for egg in match.eggs]
            if match.egg is not None:
                self.stdout.write(f"egg: {match.game.slug} is {found[0]}")
            elif found:
                self.stdout.write(f"egg: {match.game.slug} may be {' or '.join(found)}: choose in its blueprint")
            else:
                self.stdout.write(f"egg: {match.game.slug} is not on the panel under a known name: not sold")
        return provider, matches

    def seed_blueprints(self, provider: Provider, matches: list[panel.Match], *, is_accepted: bool) -> None:
        """A blueprint for each game with an egg, and what is still in the way of selling it."""
        for blueprint in panel.seed_blueprints(provider, matches, is_accepted=is_accepted):
            self.stdout.write(f"not sold: {blueprint}: {blueprint.problem}")
        if not is_accepted:
            self.stdout.write(
                "Nothing is sold yet. Check the eggs above, then run this again with --accept-eggs, or activate the "
                "blueprints in the admin."
            )
        for location in Location.objects.filter(provider=provider, region=None, is_present=True).order_by("code"):
            self.stdout.write(f"location {location.code} has no region: nothing is sold there until it is given one")
