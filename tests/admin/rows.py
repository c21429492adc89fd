"""One or many rows of every table; all belong to the first parent, so that a page's inlines are as long as its list."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from accounts.models import Membership, Organization, SshKey, User
from billing import grants, invoicing
from billing import models as billing
from catalog.models import Addon, AddonPrice, Coupon, Image, Plan, PlanPrice, Product, Promotion
from core import audit
from core.audit_checkpoints import ChainHead, signatures
from core.models import AuditCheckpoint, AuditLink
from core.money import Money
from orders import models as orders
from servers import models as servers
from support.models import Delivery, MessageTask
from tests.builders import make_organization, make_user

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a-secret-value"


class Rows:
    """`count` rows of every table."""

    def __init__(self, count: int) -> None:
        self.numbers = range(count)
        self.users_and_organizations()
        self.catalog()
        self.infrastructure()
        self.billing()
        self.payments_and_refunds()
        self.payment_methods()
        self.ledger()
        self.servers_and_reservations()
        self.placed_orders()
        self.work()

    def each(self, model: Any, **fields: Any) -> list[Any]:
        """`count` rows; a callable field is called with the row's number."""
        return [model.objects.create(**_filled(fields, number)) for number in self.numbers]

    def users_and_organizations(self) -> None:
        """Users with organizations; everyone is a member of the first."""
        self.users: list[User] = [make_user(f"row{number}@example.com") for number in self.numbers]
        self.organizations: list[Organization] = [user.owned_organizations.get() for user in self.users]
        for user in self.users[1:]:
            Membership.objects.create(organization=self.organizations[0], user=user)
        for user in self.users:
            SshKey.objects.create(user=user, name="laptop", public_key="ssh-rsa AAAA", fingerprint="SHA256:x")
        kind = ContentType.objects.get_for_model(User)
        self.each(LogEntry, user=self.user, content_type=kind, object_id="1", object_repr="x", action_flag=CHANGE)
        self.each(UserSession, user=self.user, ip="192.0.2.1", session_key=lambda n: f"{SECRET}{n}", user_agent="x")
        for user in self.users:
            audit.record(action="test", entity=user, actor=user, new={"password": SECRET})
        audit.verify()  # links what was written, as the commit would
        for link in AuditLink.objects.order_by("position")[: len(self.users)]:
            head = ChainHead(link.position, link.hash)
            AuditCheckpoint.objects.create(position=link.position, hash=link.hash, signature=signatures(head)[0])

    def user(self, number: int) -> User:
        """The row's own user."""
        return self.users[number]

    def organization(self, number: int) -> Organization:
        """The row's own organization."""
        return self.organizations[number]

    def catalog(self) -> None:
        """A product each, all plans in the first product, all prices on the first plan and add-on."""
        self.products = self.each(Product, kind="game", slug=lambda n: f"row-{n}", name=lambda n: f"Row {n}")
        size = {"cpu_percent": 100, "memory_mib": 1024, "disk_mib": 5120}
        self.plans = self.each(Plan, product=self.products[0], code=lambda n: f"row-{n}", name="1 GB", **size)
        self.addons = self.each(Addon, code=lambda n: f"row-{n}", name="More", kind="memory")
        price = {"term": "monthly", "currency": "USD", "amount_minor": 800, "offered_at": AT, "superseded_at": _later}
        self.plan_prices = self.each(PlanPrice, plan=self.plans[0], **price)
        self.addon_prices = self.each(AddonPrice, addon=self.addons[0], **price)
        self.each(Image, code=lambda n: f"row-{n}", name="Debian")
        self.each(Promotion, name=lambda n: f"Sale {n}", percent=10)
        off = {"amount_minor": 100, "currency": "USD", "max_per_customer": None}
        self.coupons = self.each(Coupon, code=lambda n: f"ROW{n}", **off)
        self.coupons[0].plans.set(self.plans)
        self.coupons[0].organizations.set(self.organizations)

    def infrastructure(self) -> None:
        """Providers with their locations, nodes, nests and eggs."""
        keys = {"application_key": SECRET, "client_key": SECRET}
        named = {"kind": "pterodactyl", "base_url": "http://panel.test", "credentials": keys}
        self.providers = self.each(servers.Provider, name=lambda n: f"Panel {n}", **named)
        self.regions = self.each(servers.Region, code=lambda n: f"eu-{n}", city="Helsinki")
        self.locations = self.each(
            servers.Location,
            provider=self.provider,
            ref="1",
            code=lambda n: f"eu-{n}",
            region=lambda n: self.regions[n],
        )
        size = {"memory_mib": 8192, "disk_mib": 81920, "memory_sellable_mib": 8192, "disk_sellable_mib": 81920}
        self.nodes = self.each(
            servers.Node, provider=self.provider, location=self.location, ref="1", name=lambda n: f"node{n}", **size
        )
        self.nests = self.each(servers.Nest, provider=self.provider, ref="1", name="Minecraft")
        self.eggs = self.each(servers.Egg, nest=self.nests[0], ref=str, name="Paper")
        self.each(servers.EggVariable, egg=self.eggs[0], name="Version", env_variable=lambda n: f"V{n}")
        run = {"state": "completed", "started_at": AT, "finished_at": AT, "counts": {"nodes": {"read": 1}}}
        self.each(servers.SyncRun, provider=self.providers[0], **run)
        seen = {"provider": self.providers[0], "name": "Seen", "memory_mib": 1024, "disk_mib": 5120}
        self.each(servers.RemoteServerSeen, ref=str, **seen)
        self.each(servers.RemoteAccountSeen, provider=self.providers[0], ref=str, email="ada@example.test")
        self.each(servers.RemoteDeletion, provider=self.providers[0], ref=str, name="Gone", run_at=AT)
        found = {"kind": "orphan", "subject": "Found", "found_at": AT}
        self.each(servers.DriftFinding, provider=self.providers[0], subject_ref=str, **found)
        self.each(servers.PanelAccount, user=self.user, provider=self.providers[0], ref=str)
        self.blueprints = self.each(
            servers.Blueprint,
            name=lambda n: f"Blueprint {n}",
            product=lambda n: self.products[n],
            provider=self.provider,
            egg=lambda n: self.eggs[n],
        )
        images = list(Image.objects.all())
        self.each(servers.BlueprintImage, blueprint=lambda n: self.blueprints[n], image=lambda n: images[n], ref=str)

    def provider(self, number: int) -> Any:
        """The row's own provider."""
        return self.providers[number]

    def location(self, number: int) -> Any:
        """The row's own location."""
        return self.locations[number]

    def billing(self) -> None:
        """Subscriptions and invoices, all rows of the first organization."""
        series = billing.InvoiceSeries.objects.get(is_default=True)
        owned = {"organization": self.organizations[0]}  # rows of one organization name each other
        amounts = {"amount_minor": 800, "currency": "USD"}
        self.subscriptions = self.each(billing.Subscription, term="monthly", **owned, **amounts)
        items = self.each(
            billing.SubscriptionItem,
            subscription=lambda n: self.subscriptions[n],
            kind="plan",
            valid_from=AT,
            plan_price=lambda n: self.plan_prices[n],
            description="Plan",
            unit_minor=800,
            currency="USD",
            **owned,
        )
        self.invoices = self.each(
            billing.Invoice, series=series, net_minor=800, total_minor=800, currency="USD", **owned
        )
        line = {"kind": "plan", "description": "Plan", "unit_minor": 800, "invoice": self.invoices[0]}
        self.each(billing.InvoiceItem, subscription=lambda n: self.subscriptions[n], **line, **owned, **amounts)
        tax = {"name": "VAT", "jurisdiction": "DE", "rate": 19, "net_minor": 800, "tax_minor": 152, "currency": "USD"}
        self.each(billing.TaxRate, country="US", region=lambda n: f"Region {n}", rate=19, valid_from=AT)
        self.each(billing.InvoiceTax, invoice=self.invoices[0], **tax, **owned)
        self.issued = billing.Invoice.objects.create(
            series=series, net_minor=800, total_minor=800, currency="USD", **owned
        )
        billing.InvoiceItem.objects.create(**line | {"kind": "setup", "invoice": self.issued}, **owned, **amounts)
        billing.Invoice.objects.filter(pk=self.issued.pk).update(state="open", issued_at=AT)
        self.each(billing.Run, kind="renew", at=AT, counts={"invoice": 1})
        told = {"sent_at": AT, "suspends_at": AT, "deletes_at": AT}
        self.each(billing.Reminder, invoice=self.issued, stage=lambda n: n, **told, **owned)
        hour = {"subscription": self.subscriptions[0], "invoice": self.invoices[0], "unit_minor": 1, "currency": "USD"}
        self.each(billing.UsageCycle, hour=lambda n: AT.replace(minute=0, second=0, hour=n % 24), **hour, **owned)
        self.each(billing.SubscriptionPause, begun_at=AT, ended_at=AT, subscription=self.subscriptions[0], **owned)
        campaigns = self.each(
            billing.PriceCampaign, name=lambda n: f"Row {n}", plan_price=lambda n: self.plan_prices[n], effective_at=AT
        )
        self.each(
            billing.PriceMove,
            campaign=campaigns[0],
            subscription=lambda n: self.subscriptions[n],
            item=lambda n: items[n],
            unit_minor=900,
            **owned,
        )

    def payments_and_refunds(self) -> None:
        """Payments of the first invoice, and what came of them."""
        owned = {"organization": self.organizations[0]}
        amounts = {"amount_minor": 800, "currency": "USD"}
        received = {
            "received_minor": 800,
            "received_currency": "USD",
            "state": "succeeded",
            "transaction_id": lambda n: f"pi_{n}",
        }
        self.payments = self.each(
            billing.Payment,
            invoice=self.invoices[0],
            gateway="stripe",
            idempotency_key=lambda n: f"payment-{n}",
            session_url=SECRET,
            **received,
            **owned,
            **amounts,
        )
        allocations = self.each(
            billing.PaymentAllocation,
            payment=lambda n: self.payments[n],
            invoice=self.issued,
            at=AT,
            **owned,
            **amounts | {"amount_minor": 800 // len(self.numbers)},
        )
        self.each(billing.ChargeTask, payment=lambda n: self.payments[n], run_at=AT, state="dead")
        self.each(billing.PaymentTask, payment=lambda n: self.payments[n], run_at=AT, state="dead")
        self.refunds = self.each(
            billing.Refund,
            payment=self.payments[0],
            gateway="stripe",
            reason="test",
            state="failed",
            idempotency_key=lambda n: f"refund-{n}",
            **owned,
            **amounts | {"amount_minor": 1},
        )
        reversals = self.each(
            billing.AllocationReversal,
            allocation=allocations[0],  # of the payment that the refunds are of
            refund=lambda n: self.refunds[n],
            at=AT,
            undone_at=AT,
            **owned,
            **amounts | {"amount_minor": 1},
        )
        credit = {"reason": "Refunded", "net_minor": 1, "total_minor": 1, "currency": "USD", "issued_at": AT}
        credit |= {"series_id": self.issued.series.credit_note_series_id, "voided_at": AT}  # as its reversal is undone
        self.each(billing.CreditNote, invoice=self.issued, reversal=lambda n: reversals[n], **credit, **owned)
        self.each(billing.RefundTask, refund=lambda n: self.refunds[n], run_at=AT, state="dead")
        self.each(
            billing.Dispute,
            payment=self.payments[0],
            gateway="stripe",
            reference=lambda n: f"dp_{n}",
            opened_at=AT,
            **owned,
            **amounts,
        )
        keys = {"secret_key": SECRET}
        accounts = self.each(
            billing.GatewayAccount, code=lambda n: f"row-{n}", kind="stripe", name="Card", credentials=keys
        )
        self.each(billing.KeyCheckTask, account=lambda n: accounts[n], run_at=AT, state="dead")
        transfers = self.each(
            billing.BankTransfer,
            payment=lambda n: self.payments[n],
            reference=lambda n: f"transfer-{n}",
            expires_at=AT,
            **owned,
        )
        self.each(
            billing.StatementLine,
            account=accounts[0],
            fingerprint=lambda n: f"line-{n}",
            booked_on=AT.date(),
            state="booked",
            transfer=lambda n: transfers[n],
            **amounts,
        )
        self.each(
            billing.GatewayPrice,
            gateway="stripe",
            plan_price=lambda n: self.plan_prices[n],
            reference=lambda n: f"price_{n}",
        )
        self.gateway_subscriptions = self.each(
            billing.GatewaySubscription,
            gateway="stripe",
            subscription=self.subscriptions[0],
            payment=self.payments[0],
            reference=lambda n: f"sub_{n}",
            is_live=False,
            is_duplicate=True,
            **owned,
        )
        self.each(
            billing.GatewayCancelTask,
            gateway_subscription=lambda n: self.gateway_subscriptions[n],
            run_at=AT,
            state="dead",
        )

    def payment_methods(self) -> None:
        """What the gateway keeps of customers."""
        owned = {"organization": self.organizations[0]}
        self.each(
            billing.GatewayCustomer,
            gateway="stripe",
            reference=lambda n: f"cus_{n}",
            organization=self.organization,
        )
        methods = self.each(
            billing.PaymentMethod,
            gateway="stripe",
            reference=lambda n: f"pm_{n}",
            brand="visa",
            last4="4242",
            expires_on=date(2030, 1, 1),
            **owned,
        )
        limits = {"below_minor": 500, "amount_minor": 1000, "currency": "USD", "changed_at": AT}
        self.each(billing.AutoTopUp, organization=self.organization, **limits)
        self.each(billing.MethodTask, method=lambda n: methods[n], run_at=AT, state="dead")

    def ledger(self) -> None:
        """Balanced entries between wallets and one clearing account."""
        clearing = billing.LedgerAccount.objects.create(kind="clearing", gateway="stripe", currency="USD")
        wallets = self.each(billing.LedgerAccount, kind="wallet", organization=self.organization, currency="USD")
        entries = self.each(
            billing.JournalEntry,
            kind="payment",
            reference=lambda n: f"row:{n}",
            organization=self.organizations[0],
            at=AT,
        )
        for number in self.numbers:
            entry = entries[0]
            postings = ((wallets[0], 800 + number, self.organizations[0]), (clearing, -800 - number, None))
            billing.Posting.objects.bulk_create(
                billing.Posting(entry=entry, account=account, amount_minor=minor, currency="USD", organization=whose)
                for account, minor, whose in postings
            )
        for entry in entries[1:]:
            billing.Posting.objects.bulk_create(
                billing.Posting(entry=entry, account=account, amount_minor=minor, currency="USD", organization=whose)
                for account, minor, whose in ((wallets[0], 100, self.organizations[0]), (clearing, -100, None))
            )

        for number in self.numbers:
            grants.grant_credit(
                organization=self.organizations[0],
                amount=Money(100 + number, "USD"),
                kind=billing.GrantKind.PROMOTIONAL,
                reason="row",
                form_token=uuid4(),
                actor="test",
                at=AT,
            )

    def servers_and_reservations(self) -> None:
        """Reservations on the first node, all ports in the first, servers with holds and tasks; of one organization."""
        owned = {"organization": self.organizations[0]}
        size = {"memory_mib": 1024, "disk_mib": 5120, "cpu_percent": 100}
        self.reservations = self.each(
            servers.Reservation, node=self.nodes[0], blueprint=self.blueprints[0], state="confirmed", **size, **owned
        )
        self.each(
            servers.Allocation,
            node=lambda n: self.nodes[n],
            ref="1",
            ip="192.0.2.1",
            port=lambda n: 25565 + n,
            reservation=self.reservations[0],
        )
        self.servers = self.each(
            servers.Server,
            owner=self.user,
            name=lambda n: f"server{n}",
            kind="game",
            blueprint=lambda n: self.blueprints[n],
            plan=lambda n: self.plans[n],
            node=lambda n: self.nodes[n],
            reservation=lambda n: self.reservations[n],
            **size,
            **owned,
        )
        first = {"server": self.servers[0], **owned}
        self.each(
            servers.ServerHold, kind="manual", reason="test", placed_by=self.user, placed_at=AT, lifted_at=AT, **first
        )
        self.each(servers.ServerVariable, env_variable=lambda n: f"V{n}", value=SECRET, **first)
        self.each(servers.ServerAccess, user=self.user, level="view", **first)
        self.each(servers.ProvisioningStep, step="placed", at=AT, **first)
        dead = {"state": "dead", "run_at": AT, "last_error": "Rejected: no", "provider": self.providers[0]}
        of_each = {"server": lambda n: self.servers[n], **dead, **owned}
        self.each(servers.ProvisioningTask, **of_each)
        self.each(servers.PowerTask, action="stop", requested_at=AT, requested_by=self.user, **of_each)
        self.each(servers.UsageTask, watched_until=AT, **of_each)
        used = dict.fromkeys(("cpu_percent", "memory_mib", "disk_mib"), 1)
        used |= dict.fromkeys(("received_bytes", "sent_bytes", "uptime_seconds"), 1)
        self.each(servers.UsageSample, at=AT, power_state="running", **used, **first)
        rolled = {"samples": 1, "cpu_sum": 1, "memory_sum_mib": 1, "disk_mib": 1}
        self.each(servers.UsageBucket, minutes=15, starts_at=lambda n: AT + timedelta(hours=n), **rolled, **first)
        asked = {"target": lambda n: f"backup-{n}", "result": {"password": SECRET}, **of_each}
        self.each(servers.Listing, kind="backups", read_at=AT, **asked)
        hytale = self.each(servers.HytaleAccount, name=lambda n: f"Host {n}", access_token=SECRET)
        called = {"account": hytale[0], "requested_at": AT, "state": "dead", "run_at": AT}
        self.each(servers.HytaleSignIn, requested_by=self.user, device_code=SECRET, outcome="denied", **called)
        secret = {"status": "open", "session_token": SECRET, "identity_token": SECRET, "expires_at": AT}
        self.each(servers.HytaleSession, server=self.servers[0], slot_until=AT, **secret, **called)
        self.each(servers.Operation, kind="backup.create", requested_at=AT, requested_by=self.user, **asked)

    def placed_orders(self) -> None:
        """Orders, all items and all history on the first."""
        owned = {"organization": self.organizations[0]}
        self.orders = self.each(
            orders.Order,
            placed_by=self.user,
            form_token=lambda n: uuid4(),
            currency="USD",
            total_minor=800,
            invoice=lambda n: self.invoices[n],
            placed_at=AT,
            expires_at=AT + timedelta(hours=1),
            **owned,
        )
        self.each(servers.ServerMove, server=lambda n: self.servers[n], node=self.nodes[0], asked_at=AT)
        self.items = self.each(
            orders.OrderItem,
            order=self.orders[0],
            plan_price=lambda n: self.plan_prices[n],
            region=lambda n: self.regions[n],
            server_name="mc",
            subscription=lambda n: self.subscriptions[n],
            server=lambda n: self.servers[n],
            reservation=lambda n: self.reservations[n],
            **owned,
        )
        self.each(
            orders.OrderItemAddon, item=lambda n: self.items[n], addon_price=lambda n: self.addon_prices[n], **owned
        )
        coupon_use = {"coupon": self.coupons[0], "order": lambda n: self.orders[n], "redeemed_at": AT}
        self.each(orders.CouponRedemption, **coupon_use, **owned)
        self.each(orders.OrderStatusChange, order=self.orders[0], new="paid", actor=self.user, at=AT, **owned)
        self.each(
            orders.PlanChange,
            item=self.items[0],
            subscription=lambda n: self.subscriptions[n],
            requested_by=self.user,
            old_plan_price=lambda n: self.plan_prices[n],
            old_term="monthly",
            plan_price=lambda n: self.plan_prices[n],
            lines=[{"kind": "credit", "description": "x", "amount_minor": 1}],
            currency="USD",
            due_minor=0,
            recurring_minor=800,
            quoted_at=AT,
            effective_at=AT,
            expires_at=AT,
            **owned,
        )
        self.each(
            orders.ServerTransfer,
            item=lambda n: self.items[n],
            recipient=self.user,
            offered_by=self.user,
            recurring_minor=800,
            currency="USD",
            term="monthly",
            paid_until=AT,
            offered_at=AT,
            expires_at=AT,
            **owned,
        )
        self.each(
            orders.WaitlistEntry,
            joined_by=self.user,
            plan=lambda n: self.plans[n],
            region=lambda n: self.regions[n],
            joined_at=AT,
            **owned,
        )
        affiliates = self.each(orders.Affiliate, organization=self.organization, code=lambda n: f"row-{n}")
        named = {"affiliate": affiliates[0], **owned}
        self.each(orders.AffiliateClicks, clicked_on=lambda n: AT.date() + timedelta(days=n), **named)
        paid = {"paid_currency": "USD", "paid_minor": 1, "paid_out_at": AT}
        self.each(orders.CommissionPayout, currency="USD", amount_minor=1, **paid, **named)
        earned = {"currency": "USD", "percent": 20, "commission_minor": 160, "paid_at": AT, "hold_until": AT}
        theirs = [self.order_of(make_organization()) for _row in self.orders]
        brought = {"customer_id": lambda n: theirs[n].organization_id, "order": lambda n: theirs[n]}
        day = {"billed_from": AT.date(), "term": "monthly"}
        imports = self.each(orders.ServerImport, provider=self.providers[0], billed_from=AT.date())
        self.each(orders.ImportTask, server_import=lambda n: imports[n], run_at=AT)
        self.each(orders.ImportRow, server_import=imports[0], position=lambda n: n, ref=str, outcome="planned", **day)
        self.each(orders.Referral, **brought, **earned, **named)

    def order_of(self, organization: Organization) -> orders.Order:
        """An order of another organization."""
        invoice = invoicing.draft_invoice(organization=organization, currency="USD", lines=[], at=AT)
        bought = {"organization": organization, "placed_by": organization.owner, "invoice": invoice}
        at = {"placed_at": AT, "expires_at": AT + timedelta(hours=1)}
        return orders.Order.objects.create(currency="USD", total_minor=0, **bought, **at)

    def work(self) -> None:
        """Gateway events and messages."""
        event = {
            "gateway": "stripe",
            "type": "charge.refunded",
            "payload": {"client_secret": SECRET},
            "received_at": AT,
        }
        self.each(
            billing.UnexplainedItem,
            gateway="stripe",
            type="subscription",
            reference=lambda n: f"sub_{n}",
            organization=self.organization,
            amount_minor=800,
            currency="USD",
            occurred_at=AT,
            note="nothing here belongs to it",
        )
        self.each(billing.LedgerAudit, started_at=AT, ended_at=AT, broken_count=0)
        self.each(
            billing.GatewayBalance,
            gateway="stripe",
            currency=lambda n: f"AA{chr(65 + n)}",
            held_minor=1,
            clearing_minor=1,
            read_at=AT,
        )
        cursor_types = list(billing.CursorType)
        self.each(
            billing.GatewayCursor,
            gateway=lambda n: f"row-{n}",
            type=lambda n: cursor_types[n % len(cursor_types)],
            read_until=AT,
        )
        self.each(billing.GatewayEvent, event_id=lambda n: f"evt_{n}", run_at=AT, state="dead", **event)
        message = {
            "channel": "email",
            "recipient": "ada@example.com",
            "sender": "shop@example.com",
            "subject": "Hello",
            "message_id": "<1@x>",
        }
        self.each(Delivery, body=SECRET, html_body=SECRET, run_at=AT, state="dead", **message)
        self.each(MessageTask, event="invoice.paid", row_ids=[], happened_at=AT, run_at=AT, state="dead")


def _filled(fields: dict[str, Any], number: int) -> dict[str, Any]:
    return {name: value(number) if callable(value) else value for name, value in fields.items()}


def _later(number: int) -> datetime | None:
    """The first price is the current one; the others were superseded."""
    return AT + timedelta(days=number) if number else None
