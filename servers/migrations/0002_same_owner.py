"""What belongs to a server is of its organization: composite keys, which Django cannot declare."""

from django.db import migrations

# The table, and what it names: a server or a reservation.
SAME_OWNER = [
    ("server", "reservation"),
    ("serverhold", "server"),
    ("servervariable", "server"),
    ("provisioningtask", "server"),
    ("provisioningstep", "server"),
    ("serveraccess", "server"),
    ("usagetask", "server"),
    ("usagesample", "server"),
    ("usagebucket", "server"),
    ("powertask", "server"),
    ("listing", "server"),
    ("operation", "server"),
]


class Migration(migrations.Migration):
    dependencies = [("servers", "0001_initial")]
    operations = [
        *(
            migrations.RunSQL(
                f"ALTER TABLE servers_{table} ADD CONSTRAINT servers_{table}_key UNIQUE (id, organization_id)",
                f"ALTER TABLE servers_{table} DROP CONSTRAINT servers_{table}_key",
            )
            for table in ("server", "reservation")
        ),
        *(
            migrations.RunSQL(
                f"ALTER TABLE servers_{table} ADD CONSTRAINT servers_{table}_{named}_same_owner"
                f" FOREIGN KEY ({named}_id, organization_id) REFERENCES servers_{named} (id, organization_id)"
                " DEFERRABLE INITIALLY DEFERRED",
                f"ALTER TABLE servers_{table} DROP CONSTRAINT servers_{table}_{named}_same_owner",
            )
            for table, named in SAME_OWNER
        ),
        migrations.RunSQL(
            "ALTER TABLE servers_reservation ADD CONSTRAINT servers_reservation_extends_same_owner"
            " FOREIGN KEY (extends_id, organization_id) REFERENCES servers_reservation (id, organization_id)"
            " DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE servers_reservation DROP CONSTRAINT servers_reservation_extends_same_owner",
        ),
    ]
