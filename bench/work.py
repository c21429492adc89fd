"""Work items, ledger entries and reservations a second, each beside the bare SQL that does the same."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import psycopg
from django.db import connection, connections
from django.utils import timezone

from accounts.models import Organization, User
from bench.environment import VAR, Environment
from bench.report import Row, slower
from bench.timing import Call, rates
from billing import ledger
from billing.models import AccountKind, EntryKind
from core import embedded
from core.ids import uuid7
from core.money import Money
from core.postgresql import logins
from nodebyte.seeding import users
from servers import capacity
from servers.capacity import Size
from servers.models import Allocation, Blueprint, Location, Node, Region, Reservation
from support.models import Delivery

BATCHES = (1, 10, 100)
QUEUED = 60_000
RUN = 20_000
TURNS = 3
# Buyers at the same time, and the nodes they buy on.
BUYERS_AND_NODES = ((1, 1), (16, 1), (16, 4))
PORTS = 4_000
SMALL = Size(memory_mib=1, disk_mib=1, cpu_percent=100)
PENNY = Money(1, "USD")
_numbers = itertools.count()
FILL = """
    INSERT INTO support_delivery (id, event, channel, reference, recipient, sender, subject, body, html_body, headers,
        message_id, state, attempts, run_at, last_error)
    SELECT uuidv7(), '', 'email', '', 'a@b.test', 'd@e.test', 's', '', '', '{}', '<1@x>', 'queued', 0, now(), ''
    FROM generate_series(1, %s)"""
CLAIM = """
    UPDATE support_delivery SET state = 'running', lease_until = now() + interval '5 minutes', attempts = attempts + 1
    WHERE id IN (SELECT id FROM support_delivery WHERE state = 'queued' AND run_at <= now()
        ORDER BY run_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id"""
ENTRY = "INSERT INTO billing_journalentry (id, kind, reference, note, at) VALUES (%s, 'payment', %s, '', now())"
POSTINGS = """
    INSERT INTO billing_posting (id, entry_id, account_id, organization_id, amount_minor, currency)
    VALUES (uuidv7(), %(entry)s, %(clearing)s, NULL, -1, 'USD'),
        (uuidv7(), %(entry)s, %(wallet)s, %(owner)s, 1, 'USD')"""
UPDATE_NODE = """
    UPDATE servers_node SET memory_reserved_mib = memory_reserved_mib + 1, disk_reserved_mib = disk_reserved_mib + 1
    WHERE id = %s AND memory_reserved_mib < memory_sellable_mib AND disk_reserved_mib < disk_sellable_mib"""
INSERT_RESERVATION = """
    INSERT INTO servers_reservation (id, organization_id, node_id, memory_mib, disk_mib, cpu_percent, ports, state,
        expires_at) VALUES (%s, %s, %s, 1, 1, 100, 1, 'reserved', now() + interval '1 hour')"""
TAKE_PORT = """
    UPDATE servers_allocation SET reservation_id = %s, is_primary = true WHERE id = (
        SELECT id FROM servers_allocation WHERE node_id = %s AND reservation_id IS NULL AND NOT is_taken_elsewhere
            AND is_present ORDER BY port, ip LIMIT 1 FOR UPDATE SKIP LOCKED)"""


RUN_ENTRIES = """
    INSERT INTO billing_journalentry (id, kind, reference, organization_id, note, at)
    SELECT md5('run' || n)::uuid, 'payment', 'run:' || n, %(owner)s, '', now() FROM generate_series(1, %(count)s) n"""
RUN_POSTINGS = """
    INSERT INTO billing_posting (id, entry_id, account_id, organization_id, amount_minor, currency)
    SELECT uuidv7(), md5('run' || n)::uuid, side.account, side.owner, side.amount, 'USD'
    FROM generate_series(1, %(count)s) n,
        (VALUES (%(clearing)s::uuid, NULL::uuid, -1), (%(wallet)s, %(owner)s::uuid, 1)) side (account, owner, amount)"""


def measure(environment: Environment) -> list[Row]:
    """Claims, entries, reservations."""
    return [*_claims(environment), *_entries(environment), *_run_of_entries(), *_reservations(environment)]


def _claims(environment: Environment) -> Iterator[Row]:
    for batch in BATCHES:
        _fill_queue()
        bare_calls, our_calls = partial(_bare_claims, environment, batch), partial(_our_claims, batch)
        found = rates({"bare": bare_calls, "ours": our_calls}, threads=1)
        Delivery.objects.filter(recipient="a@b.test").delete()
        bare = found["bare"] * batch
        yield Row(f"claims, bare SKIP LOCKED, {batch} at a time", bare, "rows/s")
        yield slower(f"claims, {batch} at a time", found["ours"] * batch, "rows/s", bare, "bare SKIP LOCKED")


def _fill_queue() -> None:
    """Rows that are due."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, [QUEUED])
    _analyze("support_delivery")


def _analyze(table: str) -> None:
    """The statistics that autovacuum would have gathered by the time there were so many rows; for the owner to do."""
    with psycopg.connect(embedded.url(VAR, logins.OWNER), autocommit=True) as owner:
        owner.execute(f"ANALYZE {table}")


@contextmanager
def _our_claims(batch: int) -> Iterator[Call]:
    yield lambda: Delivery.claim(limit=batch, at=timezone.now())
    connections.close_all()


@contextmanager
def _bare_claims(environment: Environment, batch: int) -> Iterator[Call]:
    with environment.bare_connection() as bare:
        yield lambda: bare.execute(CLAIM, [batch]).fetchall()


def _organization() -> Organization:
    user = User.objects.get(email=users.CUSTOMER_EMAIL)
    return Organization.objects.get(owner=user, is_personal=True)


def _entries(environment: Environment) -> Iterator[Row]:
    found = rates({"bare": lambda: _bare_entries(environment), "ours": _our_entries}, threads=1)
    yield Row("ledger entries with two postings, bare INSERTs", found["bare"], "/s")
    yield slower("ledger entries with two postings", found["ours"], "/s", found["bare"], "bare INSERTs")


@contextmanager
def _our_entries() -> Iterator[Call]:
    """Money received: clearing to a wallet, whose balance a trigger keeps."""
    organization = _organization()
    clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
    wallet = ledger.wallet_of(organization, "USD")

    def call() -> None:
        ledger.post_entry(
            kind=EntryKind.PAYMENT,
            reference=f"bench:{next(_numbers)}",
            lines=ledger.transfer(clearing, wallet, PENNY),
            organization=organization,
            at=timezone.now(),
        )

    yield call
    connections.close_all()


@contextmanager
def _bare_entries(environment: Environment) -> Iterator[Call]:
    organization = _organization()
    accounts = {
        "clearing": ledger.account_of(AccountKind.CLEARING, "USD", "stripe").pk,
        "wallet": ledger.wallet_of(organization, "USD").pk,
        "owner": organization.pk,
    }
    with environment.bare_connection() as bare:

        def call() -> None:
            entry = uuid7()
            with bare.transaction():
                bare.execute(ENTRY, [entry, f"bare:{next(_numbers)}"])
                bare.execute(POSTINGS, {"entry": entry, **accounts})

        yield call


def _run_of_entries() -> Iterator[Row]:
    """The entries of a run in one transaction; what is deferred to its commit included, foreign keys too."""
    organization = _organization()
    accounts = {
        "clearing": ledger.account_of(AccountKind.CLEARING, "USD", "stripe").pk,
        "wallet": ledger.wallet_of(organization, "USD").pk,
        "owner": organization.pk,
        "count": RUN,
    }
    seconds: dict[str, list[float]] = {"ENABLE": [], "DISABLE": []}
    with psycopg.connect(embedded.url(VAR, logins.OWNER)) as connection:  # as the owner, who alone can disable triggers
        for turn in ["ENABLE", "DISABLE"] * TURNS:
            for table in ("billing_journalentry", "billing_posting"):
                connection.execute(f"ALTER TABLE {table} {turn} TRIGGER USER")
            begin = time.perf_counter()
            connection.execute(RUN_ENTRIES, accounts)
            connection.execute(RUN_POSTINGS, accounts)
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            seconds[turn].append(time.perf_counter() - begin)
            connection.rollback()
    bare, ours = min(seconds["DISABLE"]), min(seconds["ENABLE"])
    yield Row(f"{RUN:,} entries in one transaction, without our triggers", bare, "s")
    yield Row(f"{RUN:,} entries in one transaction", ours, "s", ours / bare, "without our triggers")


def _reservations(environment: Environment) -> Iterator[Row]:
    for buyers, count in BUYERS_AND_NODES:
        nodes, region, blueprint = _create_nodes(count)
        bare_calls = partial(_bare_reservations, environment, nodes)
        our_calls = partial(_our_reservations, blueprint, region)
        found = rates({"bare": bare_calls, "ours": our_calls}, threads=buyers)
        where = f"{buyers} at once, {count} node{'s' if count > 1 else ''}"
        yield Row(f"reservations, bare SQL, {where}", found["bare"], "/s")
        yield slower(f"reservations, {where}", found["ours"], "/s", found["bare"], "bare SQL")


def _create_nodes(count: int) -> tuple[list[Node], Region, Blueprint]:
    """Nodes with capacity for every reservation that the bench can make, in a region of their own."""
    seeded = Blueprint.objects.select_related("provider", "product").order_by("pk")[0]
    mark = f"bench-{next(_numbers)}"
    region = Region.objects.create(code=mark, city=mark)
    location = Location.objects.create(provider=seeded.provider, ref=mark, code=mark, region=region)
    large = dict.fromkeys(("memory_mib", "disk_mib", "memory_sellable_mib", "disk_sellable_mib"), 1_000_000)
    nodes = [
        Node.objects.create(provider=seeded.provider, location=location, ref=f"{mark}-{number}", name=mark, **large)
        for number in range(count)
    ]
    for node in nodes:
        ports = range(PORTS // count)
        Allocation.objects.bulk_create(
            Allocation(node=node, ref=f"{node.ref}-{port}", ip="192.0.2.9", port=1024 + port) for port in ports
        )
    _analyze("servers_allocation")
    return nodes, region, seeded


@contextmanager
def _our_reservations(blueprint: Blueprint, region: Region) -> Iterator[Call]:
    organization = _organization()

    def call() -> Reservation:
        at = timezone.now()
        return capacity.reserve(
            organization=organization,
            blueprints=[blueprint],
            region=region,
            size=SMALL,
            at=at,
            expires_at=at + timedelta(hours=1),
        )

    yield call
    connections.close_all()


@contextmanager
def _bare_reservations(environment: Environment, nodes: list[Node]) -> Iterator[Call]:
    """The three statements that a reservation cannot do without, in one transaction."""
    organization = _organization()
    turn = itertools.cycle(nodes)
    with environment.bare_connection() as bare:
        yield lambda: _reserve_bare(bare, organization, next(turn))
    connections.close_all()


def _reserve_bare(bare: psycopg.Connection[tuple[object, ...]], organization: Organization, node: Node) -> None:
    reservation = uuid7()
    with bare.transaction():
        assert bare.execute(UPDATE_NODE, [node.pk]).rowcount == 1
        bare.execute(INSERT_RESERVATION, [reservation, organization.pk, node.pk])
        assert bare.execute(TAKE_PORT, [reservation, node.pk]).rowcount == 1
